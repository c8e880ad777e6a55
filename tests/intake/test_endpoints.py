"""Who may post what to which endpoint."""

import pytest
from django.test import override_settings

from superoffice_hooks.conf import Endpoint
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wire.signature import key_id, sign
from tests.builders import body, encode, post

pytestmark = pytest.mark.django_db

ACME, GLOBEX, OLD = "acme-" * 8, "globex-" * 6, "old-acme-" * 5
TWO_TENANTS = override_settings(
    SUPEROFFICE_HOOKS={
        "ENDPOINTS": {
            "acme": {"SECRETS": [ACME, OLD], "CONTEXTS": ["Cust1"]},
            "globex": {"SECRETS": [GLOBEX], "CONTEXTS": ["Cust2"]},
        }
    }
)
ACME_URL, GLOBEX_URL = "/superoffice/webhook/acme/", "/superoffice/webhook/globex/"


def found_by_name(name):
    return Endpoint("late", (ACME,), frozenset({"Cust1"})) if name == "late" else None


def failing(name):
    raise RuntimeError("the tenants are elsewhere, and away")


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="missing"),
        pytest.param("nonsense", id="wrong"),
        pytest.param("æøå", id="not ASCII"),
        pytest.param("=" * 5000, id="long"),
    ],
)
def test_without_a_valid_signature_it_is_refused(signature):
    response = post(body(), signature=signature)
    assert response.status_code == 401
    assert [row.outcome for row in Delivery.objects.all()] == ["refused"]
    assert not Event.objects.exists()


def test_a_test_event_needs_its_signature_too():
    assert post(body(Event="test", PrimaryKey=0), signature="wrong").status_code == 401


@TWO_TENANTS
def test_either_secret_of_a_rotation_is_accepted_and_named():
    for secret in (ACME, OLD):
        assert post(body(ContextIdentifier="Cust1"), url=ACME_URL, secret=secret).status_code == 200
    assert [row.key_id for row in Delivery.objects.order_by("id")] == [key_id(ACME), key_id(OLD)]


def test_two_signature_headers_arrive_joined_and_one_is_enough(settings):
    raw = encode(body())
    assert post(raw, signature=f"bogus,{sign(raw, settings.SECRET)}").status_code == 200


def test_a_nul_beside_the_valid_signature_is_stored_by_its_picture(settings):
    raw = encode(body())
    assert post(raw, signature=f"{sign(raw, settings.SECRET)},\0").status_code == 200
    assert Delivery.objects.get().signature.endswith(",\u2400")


@TWO_TENANTS
@pytest.mark.parametrize("url", [GLOBEX_URL, GLOBEX_URL.rstrip("/")])
def test_one_endpoints_secret_opens_no_other(url):
    for context in ("Cust1", "Cust2"):
        assert post(body(ContextIdentifier=context), url=url, secret=ACME).status_code == 401
    assert not Delivery.objects.exclude(outcome="refused").exists()


@TWO_TENANTS
@pytest.mark.parametrize("context", ["Cust2", "cust1", "Cust1 ", "", "Default"])
def test_a_body_that_names_another_tenant_is_quarantined(context):
    response = post(body(ContextIdentifier=context), url=ACME_URL, secret=ACME)
    assert response.status_code == 200
    assert not Event.objects.exists()
    delivery = Delivery.objects.get()
    assert (delivery.endpoint, delivery.event) == ("acme", None)
    assert "tenant" in delivery.reason


@TWO_TENANTS
def test_the_test_event_passes_whatever_tenant_it_names():
    wire = body(Event="test", PrimaryKey=0, ContextIdentifier="Default")
    assert post(wire, url=ACME_URL, secret=ACME).content == b"test\n"


@TWO_TENANTS
@pytest.mark.parametrize("url", ["/superoffice/webhook/", "/superoffice/webhook/nobody/"])
def test_an_unknown_endpoint_is_404(url):
    assert post(body(), url=url, secret=ACME).status_code == 404
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "hooks",
    [
        pytest.param({"SECRETS": []}, id="empty list"),
        pytest.param({"SECRETS": [""]}, id="blank"),
        pytest.param({"SECRETS": [" "]}, id="white space"),
        pytest.param({"ENDPOINTS": {"default": {}}}, id="endpoint without secrets"),
    ],
)
def test_no_secret_means_that_nothing_is_accepted(hooks):
    with override_settings(SUPEROFFICE_HOOKS=hooks):
        for signature in (
            "",
            sign(encode(body()), "x"),
            "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=",
        ):
            assert post(b"", signature=signature).status_code == 401
    assert not Delivery.objects.exclude(outcome="refused").exists()


@pytest.mark.parametrize("hooks", [{}, {"ENDPOINTS": {}}], ids=["nothing", "no endpoints"])
def test_without_endpoints_there_is_nothing_to_post_to(hooks):
    with override_settings(SUPEROFFICE_HOOKS=hooks):
        assert post(body(), secret="x" * 40).status_code == 404


@pytest.mark.parametrize(
    "hooks",
    [
        pytest.param({"SECRETS": "one string"}, id="a string"),
        pytest.param({"ENDPOINTS": "no.such.path"}, id="a path that does not import"),
        pytest.param({"ENDPOINTS": f"{__name__}.failing"}, id="a callable that fails"),
        pytest.param([], id="a list"),
    ],
)
def test_settings_that_are_nonsense_accept_nothing_and_say_try_again(hooks):
    with override_settings(SUPEROFFICE_HOOKS=hooks):
        for secret in ("one string", "o", "x" * 40):
            assert post(body(), secret=secret).status_code == 503
    assert not Delivery.objects.exists()


@override_settings(SUPEROFFICE_HOOKS={"ENDPOINTS": f"{__name__}.found_by_name"})
def test_a_callable_finds_the_endpoint():
    wire = body(ContextIdentifier="Cust1")
    assert post(wire, url="/superoffice/webhook/late/", secret=ACME).content == b"recorded\n"
    assert Delivery.objects.get().endpoint == "late"
    assert post(wire, url="/superoffice/webhook/early/", secret=ACME).status_code == 404
    assert post(wire, secret=ACME).status_code == 404


@override_settings(
    SUPEROFFICE_HOOKS={"SECRETS": [GLOBEX], "ENDPOINTS": f"{__name__}.found_by_name"}
)
def test_plain_secrets_stand_beside_a_callable():
    assert post(body(), secret=GLOBEX).content == b"recorded\n"
