"""Our parts under django-unfold, as a person sees them; Unfold's own parts are not ours."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.unfold.pages import ADMIN, PAGES

pytestmark = [pytest.mark.unfold, pytest.mark.django_db(transaction=True)]

# axe takes as its context whatever carries one of our classes.
OURS = {"include": [["[class^='so-']"], ["[class*=' so-']"]]}


@pytest.fixture
def page(live_server, browser, client, auditor, trail, scheme, width):
    """A logged-in page, without errors of our own; Unfold runs under no strict policy."""
    client.force_login(auditor)
    context = browser.new_context(
        base_url=live_server.url,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    yield context.new_page()
    context.close()


def look(page, name, scheme, width):
    """Judge our parts with axe, and keep a picture where SCREENSHOTS says so."""
    page.wait_for_function("document.documentElement.hasAttribute('x-cloak') === false")
    assert page.evaluate("document.documentElement.classList.contains('dark')") is (
        scheme == "dark"
    )
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"unfold-{name}-{scheme}-{width}.png", full_page=True)
    result = Axe().run(page, OURS, {"preload": False}).response
    assert result["passes"]
    assert {
        f"{violation['id']}: {node['html'][:120]}"
        for violation in result["violations"]
        for node in violation["nodes"]
    } == set()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"the page is {wide}px wider than the screen"


@pytest.mark.parametrize("name", PAGES)
def test_our_parts_of_a_page(page, name, scheme, width):
    page.goto(PAGES[name]())
    look(page, name, scheme, width)


def test_the_filters(page, scheme, width):
    page.goto(f"{ADMIN}/event/?occurred_at_after=2026-03-01&changed_field=name")
    page.locator(".filter-open-button").click()
    page.locator("#changelist-filter").get_by_label("From").wait_for()
    look(page, "filters", scheme, width)
    page.get_by_label("The field's name").fill("orgNr")
    page.get_by_label("The field's name").press("Enter")
    page.wait_for_url("**changed_field=orgNr**")
    assert "occurred_at_after=2026-03-01" in page.url
