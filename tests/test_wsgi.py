"""The short way: deliveries meet no middleware, and everything else goes where it went before."""

import subprocess
import sys
from io import BytesIO

import pytest
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory
from django.urls import include, path, set_script_prefix
from django.utils import timezone, translation
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache

from superoffice_hooks.intake.view import webhook
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.signature import sign
from superoffice_hooks.wsgi import _endpoint_at, webhook_first
from tests.builders import URL, body, encode

pytestmark = pytest.mark.django_db

wrapped = never_cache(webhook)  # what a site may put around the view: its URL leads elsewhere then
urlpatterns = [
    path(
        "büro/",
        include(
            (
                [
                    path("webhook/", webhook, name="webhook"),
                    path("webhook/wrapped/", wrapped),
                    path("webhook/named/", webhook, {"endpoint": "acme"}),
                ],
                "superoffice_hooks",
            )
        ),
    ),
]


@pytest.fixture(autouse=True)
def _one_connection():
    """The connection outlives the request, as with Django's test client: it is the test's."""
    _endpoint_at.cache_clear()
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask(application, url=URL, method="POST", wire=None, **environ):
    """Send a delivery; return the status line, the headers and the body of the answer."""
    raw = encode(wire or body())
    headers = {"X-SuperOffice-Signature": sign(raw, settings.SECRET)}
    request = RequestFactory().generic(method, url, raw, headers=headers)
    environ = request.environ | {"wsgi.input": BytesIO(raw)} | environ
    told = []
    response = application(environ, lambda *line: told.append(line))
    content = b"".join(response)
    if hasattr(response, "close"):
        response.close()
    [(status, headers)] = told
    return status, dict(headers), content


def site(environ, start_response):
    """Stand for the rest of the site."""
    start_response("204 the site", [])
    return []


def refusing(get_response):
    """A middleware that lets nothing pass."""
    raise AssertionError("asked")


@pytest.mark.parametrize("path", [URL, URL.rstrip("/"), f"{URL}default", f"{URL}default/"])
def test_a_delivery_is_stored_and_answered(path):
    status, headers, content = ask(webhook_first(site), path)
    assert (status, content) == ("200 OK", b"recorded\n")
    assert headers == {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "9"}
    assert Delivery.objects.get().endpoint == "default"


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        pytest.param({}, 200, id="genuine"),
        pytest.param({"HTTP_X_SUPEROFFICE_SIGNATURE": "x"}, 401, id="forged"),
        pytest.param({"PATH_INFO": f"{URL}nobody"}, 404, id="no endpoint"),
        pytest.param({"CONTENT_LENGTH": "99999999999"}, 413, id="large"),
        pytest.param({"CONTENT_LENGTH": "9999"}, 400, id="cut off"),
        pytest.param({"CONTENT_LENGTH": "9" * 5000}, 401, id="no number"),
        pytest.param({"CONTENT_LENGTH": "-1"}, 401, id="negative"),
        pytest.param({"CONTENT_LENGTH": ""}, 401, id="no length"),
        pytest.param({"CONTENT_LENGTH": None}, 503, id="no text"),
        pytest.param({"CONTENT_LENGTH": " 9_9_9"}, 200, id="a number to Python"),
        pytest.param({"HTTP_TRANSFER_ENCODING": "chunked"}, 400, id="chunked"),
        pytest.param(
            {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
            200,
            id="chunked and ended",
        ),
        pytest.param({"REMOTE_ADDR": "192.0.2.7"}, 200, id="from somewhere"),
    ],
)
def test_both_ways_answer_and_store_the_same(environ, status):
    wire = body()
    short, stored = ask(webhook_first(site), wire=wire, **environ), all_that_was_recorded()
    Delivery.objects.all().delete()
    Event.objects.all().delete()
    long = ask(WSGIHandler(), wire=wire, **environ)
    assert (short[0], short[2]) == (long[0], long[2])
    assert int(short[0].split()[0]) == status
    assert short[1] == {name: long[1][name] for name in short[1]}
    assert {"Content-Type", "Content-Length"} <= short[1].keys()
    assert stored == all_that_was_recorded()


def all_that_was_recorded():
    """Return what their deliveries say, but for their ids and times."""
    columns = "endpoint", "remote_address", "signature", "headers", "body"
    return list(Delivery.objects.filter(outcome="recorded").values_list(*columns))


def test_where_nothing_can_be_stored_it_says_when_to_ask_again(settings, caplog):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": "a text where a list is meant"}
    status, headers, content = ask(webhook_first(site))
    assert (status, content) == ("503 Service Unavailable", b"The delivery could not be stored.\n")
    assert headers["Retry-After"] == "1"
    # By default this is the logger whose errors Django sends to the admins.
    [told] = [record for record in caplog.records if record.name == "django.request"]
    assert told.getMessage() == f"Service Unavailable: {URL}"
    assert (told.levelname, told.status_code, told.request.path) == ("ERROR", 503, URL)
    assert told.request.body == b""


def test_parameters_of_content_type_that_nobody_can_read_are_not_read():
    status, _, content = ask(webhook_first(site), CONTENT_TYPE="a/b; x*=bogus''y")
    assert (status, content) == ("200 OK", b"recorded\n")
    forged = {"HTTP_X_SUPEROFFICE_SIGNATURE": "x", "CONTENT_TYPE": "a/b; x*=bogus''y"}
    assert ask(webhook_first(site), **forged)[0] == "401 Unauthorized"


def test_no_middleware_is_asked(settings):
    settings.MIDDLEWARE = [f"{__name__}.refusing"]
    with pytest.raises(AssertionError, match="asked"):
        WSGIHandler()
    assert ask(webhook_first(site))[0] == "200 OK"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/superoffice/",
        "/superoffice/webhooks/",
        "/superoffice/webhook//",
        "/superoffice/webhook/a/b/",
        "/superoffice/webhook/å/",
        "/superoffice/webhook/default/\n",
        "/x/superoffice/webhook/",
        "/superoffice/api/events/",
    ],
)
def test_what_is_no_url_of_the_webhook_goes_to_the_site(path):
    assert ask(webhook_first(site), PATH_INFO=path)[0] == "204 the site"
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "post"])
def test_what_is_not_posted_goes_to_the_site(method):
    assert ask(webhook_first(site), method=method)[0] == "204 the site"


def test_an_endpoint_is_found_by_its_name(settings):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme-1_x": {"SECRETS": [settings.SECRET]}}}
    application = webhook_first(site)
    assert ask(application, f"{URL}acme-1_x/")[0] == "200 OK"
    assert ask(application, f"{URL}nobody")[0] == "404 Not Found"
    assert [delivery.endpoint for delivery in Delivery.objects.all()] == ["acme-1_x"]


def test_a_site_below_a_prefix_of_the_server():
    set_script_prefix("/crm/")
    try:
        application = webhook_first(site)
    finally:
        set_script_prefix("/")
    assert ask(application, SCRIPT_NAME="/crm")[0] == "200 OK"
    assert ask(application, f"/crm{URL}")[0] == "204 the site"


@pytest.mark.urls(__name__)
def test_where_the_site_leads_to_its_own_view_the_site_answers(settings):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": [settings.SECRET]}}}
    application = webhook_first(site)
    its_own = "/büro/webhook/wrapped/".encode().decode("latin-1")
    assert ask(application, PATH_INFO=its_own)[0] == "204 the site"
    assert not Delivery.objects.exists()
    named = "/büro/webhook/named/".encode().decode("latin-1")
    assert ask(application, PATH_INFO=named)[0] == "200 OK"
    assert [delivery.endpoint for delivery in Delivery.objects.all()] == ["acme"]


def test_the_url_is_found_in_the_language_of_the_site(settings):
    hooks = path("superoffice/", include("superoffice_hooks.urls"))
    settings.ROOT_URLCONF = tuple(i18n_patterns(hooks, prefix_default_language=False))
    application = webhook_first(site)
    with translation.override("nb"):
        assert ask(application)[0] == "200 OK"


def test_the_reader_before_leaves_neither_language_nor_time_zone():
    seen = []

    def note(**kwargs):
        seen.append((get_language(), timezone.get_current_timezone_name()))

    event_recorded.connect(note)
    try:
        with translation.override("nb"), timezone.override("Asia/Tokyo"):
            ask(webhook_first(site))
    finally:
        event_recorded.disconnect(note)
    assert seen == [(settings.LANGUAGE_CODE, settings.TIME_ZONE)]


def test_a_server_that_tells_no_path_asks_for_the_root():
    told = []
    webhook_first(site)({"REQUEST_METHOD": "POST"}, lambda *line: told.append(line))
    assert told == [("204 the site", [])]


def test_the_request_is_begun_and_finished():
    seen = []

    def note(signal, **kwargs):
        seen.append(signal)

    for signal in (request_started, request_finished):
        signal.connect(note)
    try:
        ask(webhook_first(site))
    finally:
        for signal in (request_started, request_finished):
            signal.disconnect(note)
    assert seen == [request_started, request_finished]


@pytest.mark.urls("django.contrib.auth.urls")
def test_a_site_without_the_webhook_is_told_what_to_add():
    with pytest.raises(ImproperlyConfigured, match=r'Add to the urlpatterns .* path\("superoff'):
        webhook_first(site)


def test_it_is_imported_before_django_is_set_up():
    subprocess.run([sys.executable, "-c", "import superoffice_hooks.wsgi"], check=True, env={})
