"""The short way: deliveries meet no middleware, and everything else goes where it went before."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory
from django.urls import set_script_prefix

from superoffice_hooks.models import Delivery
from superoffice_hooks.wire.signature import sign
from superoffice_hooks.wsgi import webhook_first
from tests.builders import URL, body, encode

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection():
    """The connection outlives the request, as with Django's test client: it is the test's."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def ask(application, path=URL, method="POST", **environ):
    """Send a delivery; return the status line, the headers and the body of the answer."""
    raw = encode(body())
    headers = {"X-SuperOffice-Signature": sign(raw, settings.SECRET)}
    request = RequestFactory().generic(method, path, raw, headers=headers, **environ)
    told = []
    response = application(request.environ, lambda *line: told.append(line))
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
