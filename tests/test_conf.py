"""The settings: what each key may be, and that it is read when it is needed."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from superoffice_hooks.conf import Endpoint, conf
from tests.builders import body, post

NEW, OLD = "new-" * 8, "old-" * 8


def find(name):
    """A site that keeps its endpoints elsewhere."""
    return Endpoint(name, (NEW,), frozenset({"Cust24680"})) if name == "elsewhere" else None


def sees_nothing(user):
    return []


def test_without_the_setting_there_is_no_endpoint_and_every_other_key_has_its_default(settings):
    del settings.SUPEROFFICE_HOOKS
    assert conf.endpoints == {}
    assert conf.endpoint("default") is None
    assert conf.max_body_bytes == 10 * 1024 * 1024
    assert conf.contexts_for_user(object()) is None


def test_plain_secrets_are_the_endpoint_default_for_any_tenant(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW, OLD]}
    assert conf.endpoint("default") == Endpoint("default", (NEW, OLD), None)
    assert conf.endpoint("default").takes("Cust1")
    assert conf.endpoint("another") is None


def test_each_endpoint_has_its_own_secrets_and_takes_its_own_tenants(settings):
    settings.SUPEROFFICE_HOOKS = {
        "ENDPOINTS": {
            "acme": {"SECRETS": [NEW], "CONTEXTS": ["Cust1", ""]},
            "other": {"SECRETS": (OLD,)},
        }
    }
    acme = conf.endpoint("acme")
    assert acme.secrets == (NEW,)
    assert [acme.takes(context) for context in ("Cust1", "", "cust1", "Cust2")] == [
        True,
        True,
        False,
        False,
    ]
    assert conf.endpoint("other").contexts is None
    assert conf.endpoint("default") is None


def test_an_empty_list_of_contexts_takes_no_tenant(settings):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXTS": []}}}
    assert not conf.endpoint("acme").takes("")


def test_secrets_and_endpoints_go_together(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": {"acme": {"SECRETS": [NEW]}}}
    assert {name: found.secrets for name, found in conf.endpoints.items()} == {
        "default": (OLD,),
        "acme": (NEW,),
    }


@pytest.mark.parametrize("found", ["tests.test_conf.find", find], ids=["dotted path", "callable"])
@pytest.mark.django_db
def test_a_callable_finds_the_endpoint_by_the_name_in_the_url(settings, found):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": found}
    url = "/superoffice/webhook/{}/".format
    assert post(body(), url=url("elsewhere"), secret=NEW).status_code == 200
    assert post(body(), url=url("elsewhere"), secret=OLD).status_code == 401
    assert post(body(), url=url("unknown"), secret=NEW).status_code == 404
    assert post(body(), secret=NEW).status_code == 404


def test_plain_secrets_stand_beside_a_callable(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": "tests.test_conf.find"}
    assert conf.endpoint("default").secrets == (OLD,)
    assert conf.endpoint("elsewhere").secrets == (NEW,)


def test_the_endpoint_default_cannot_be_configured_twice(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [OLD], "ENDPOINTS": {"default": {"SECRETS": [NEW]}}}
    with pytest.raises(ImproperlyConfigured, match="twice"):
        conf.endpoint("default")


WRONG = {
    "the setting is a list": ("max_body_bytes", [NEW], "must be a dict"),
    "SECRETS is a string": ("endpoints", {"SECRETS": NEW}, r'\["SECRETS"\] must be a list'),
    "SECRETS is None": ("endpoints", {"SECRETS": None}, r'\["SECRETS"\] must be a list'),
    "a secret is None": ("endpoints", {"SECRETS": [None]}, "list of strings"),
    "a secret is bytes": ("endpoints", {"SECRETS": [b"secret"]}, "list of strings"),
    "ENDPOINTS is a list": ("endpoints", {"ENDPOINTS": ["acme"]}, "must be a dict of endpoints"),
    "ENDPOINTS does not import": ("endpoints", {"ENDPOINTS": "nowhere.find"}, "cannot be imported"),
    "ENDPOINTS is no path": ("endpoints", {"ENDPOINTS": "find"}, "cannot be imported"),
    "an endpoint is a list": (
        "endpoints",
        {"ENDPOINTS": {"acme": [NEW]}},
        '"acme".* must be a dic',
    ),
    "an endpoint's SECRETS is a string": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": NEW}}},
        '"acme".*list of strings',
    ),
    "an endpoint's CONTEXTS is a string": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXTS": "Cust1"}}},
        '"CONTEXTS".*list of strings',
    ),
    "an endpoint has an unknown key": (
        "endpoints",
        {"ENDPOINTS": {"acme": {"SECRETS": [NEW], "CONTEXT": ["Cust1"]}}},
        "unknown key 'CONTEXT'",
    ),
    "MAX_BODY_BYTES is zero": ("max_body_bytes", {"MAX_BODY_BYTES": 0}, "positive integer"),
    "MAX_BODY_BYTES is a string": ("max_body_bytes", {"MAX_BODY_BYTES": "9"}, "positive integer"),
    "MAX_BODY_BYTES is True": ("max_body_bytes", {"MAX_BODY_BYTES": True}, "positive integer"),
    "CONTEXTS_FOR_USER does not import": (
        "contexts_for_user",
        {"CONTEXTS_FOR_USER": "tests.test_conf.absent"},
        "cannot be imported",
    ),
    "CONTEXTS_FOR_USER is a list": (
        "contexts_for_user",
        {"CONTEXTS_FOR_USER": ["Cust1"]},
        "must be a callable",
    ),
}


@pytest.mark.parametrize(("key", "value", "says"), WRONG.values(), ids=WRONG)
def test_nonsense_is_named_and_never_shows_a_secret(settings, key, value, says):
    settings.SUPEROFFICE_HOOKS = value
    with pytest.raises(ImproperlyConfigured, match=says) as raised:
        getattr(conf, key)
    assert NEW not in str(raised.value)


def test_contexts_for_user_may_be_a_dotted_path(settings):
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": "tests.test_conf.sees_nothing"}
    assert conf.contexts_for_user(object()) == []


@pytest.mark.django_db
def test_a_setting_counts_from_the_moment_it_is_changed(settings):
    assert post(body(), secret=settings.SECRET).status_code == 200
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW]}
    assert post(body(), secret=settings.SECRET).status_code == 401
    assert post(body(), secret=NEW).status_code == 200
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW], "MAX_BODY_BYTES": 10}
    assert post(body(), secret=NEW).status_code == 413


def test_an_endpoint_never_shows_its_secrets(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [NEW], "ENDPOINTS": {"acme": {"SECRETS": [OLD]}}}
    shown = f"{conf.endpoints!r} {conf.endpoint('acme')} {conf.endpoint('default')!r}"
    assert "acme" in shown
    assert NEW not in shown
    assert OLD not in shown


def test_an_endpoint_cannot_be_changed():
    with pytest.raises(AttributeError):
        Endpoint("acme", (NEW,)).contexts = None


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"secrets": "x" * 40}, id="a text for secrets"),
        pytest.param({"secrets": ("x" * 40,), "contexts": "Cust12345"}, id="a text for contexts"),
        pytest.param({"secrets": {"primary": "x" * 40}}, id="a dict"),
        pytest.param({"secrets": (part for part in "xy")}, id="a generator"),
        pytest.param({"secrets": (b"x" * 40,)}, id="bytes"),
    ],
)
def test_an_endpoint_refuses_what_would_let_strangers_in(given):
    with pytest.raises(ImproperlyConfigured, match="must be a list of strings"):
        Endpoint("acme", **given)


def test_an_endpoint_takes_lists():
    endpoint = Endpoint("acme", ["new", "old"], ["Cust1"])
    assert endpoint == Endpoint("acme", ("new", "old"), frozenset({"Cust1"}))
    assert not endpoint.takes("Cust")
