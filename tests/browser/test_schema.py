"""The page of the API: Swagger UI under a content security policy, read and tried by keyboard."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from superoffice_hooks.models import Event
from tests.browser.test_pages import look
from tests.builders import post
from tests.payloads import PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DOCS = "/superoffice/api/schema/docs/"

# A button with a link in it, a heading of the third order after one of the first, selects and
# scrolled texts that only their table names, a title outside of every landmark.
SWAGGERS_OWN = {
    "heading-order",
    "nested-interactive",
    "region",
    "scrollable-region-focusable",
    "select-name",
}


@pytest.fixture
def requested(page):
    """The addresses that the browser asks for, of every kind."""
    found = []
    page.on("request", lambda request: found.append(request.url))
    return found


@pytest.fixture
def docs(page, requested):
    for wire in PAYLOADS:
        post(wire)
    page.goto(DOCS)
    page.locator(".opblock").first.wait_for()
    return page


def settled(page, name, scheme, width):
    """Look at the page once nothing on it moves."""
    # Swagger UI fades in what it opens, and a colour on its way has less contrast.
    page.evaluate("Promise.all(document.getAnimations().map((motion) => motion.finished))")
    look(page, name, scheme, width, SWAGGERS_OWN)


def luminance(page):
    """How light the page behind its text is, of 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.strip("rgb()").split(",")[:3]) / 3


def test_lists_every_operation(docs, requested, scheme, width, live_server):
    paths = docs.evaluate("fetch('../').then((answer) => answer.json()).then((it) => it.paths)")
    assert docs.locator(".opblock").count() == len(paths)
    assert luminance(docs) > 200 if scheme == "light" else luminance(docs) < 60
    settled(docs, "api", scheme, width)
    assert [url for url in requested if not url.startswith(live_server.url)] == []


def test_an_operation_is_tried_by_keyboard(docs, requested, scheme, width, live_server):
    operation = docs.locator("#operations-events-superoffice_events_list")
    operation.locator(".opblock-summary-control").focus()
    docs.keyboard.press("Enter")
    operation.get_by_role("button", name="Try it out").focus()
    docs.keyboard.press("Enter")
    operation.get_by_placeholder("primary_key").focus()
    docs.keyboard.type("1148")
    operation.get_by_role("button", name="Execute").focus()
    docs.keyboard.press("Enter")
    answer = operation.locator(".live-responses-table .response")
    answer.first.wait_for()
    assert answer.locator(".response-col_status").first.inner_text().strip() == "200"
    # Examples are for reading: only what is filled in is sent, and what it is by default.
    [asked] = [url for url in requested if "/api/events/?" in url]
    assert dict(parse_qsl(urlsplit(asked).query)) == {"primary_key": "1148", "page_size": "50"}
    [newest, *_] = Event.objects.filter(primary_key=1148).order_by("-occurred_at")
    assert str(newest.event_id) in answer.first.inner_text()
    settled(docs, "api-tried", scheme, width)
    assert [url for url in requested if not url.startswith((live_server.url, "blob:"))] == []
