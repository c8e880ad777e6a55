"""The admin's pages as a person meets them: read, filtered, in both schemes, on a phone."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from superoffice_hooks.models import Delivery, Event
from tests.builders import body, encode, post
from tests.payloads import PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Django's breadcrumbs tell links from text by colour alone, and its search box has a picture of a
# magnifying glass for a label.
DJANGOS_OWN = {"link-in-text-block", "label-title-only"}


@pytest.fixture
def trail():
    for wire in PAYLOADS:
        post(wire)
    post(encode(PAYLOADS[0]))
    post(b'{"Event": "contact.changed"')
    post(body(FieldValues={"note": "<script>alert(1)</script>"}, PrimaryKey=666))


def look(page, name, scheme, width, excused=DJANGOS_OWN):
    """Judge the page with axe, and keep a picture where SCREENSHOTS says so."""
    page.wait_for_load_state()  # a click returns while the next page is still being read
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}-{scheme}-{width}.png", full_page=True)
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    found = {
        f"{violation['id']}: {node['html'][:120]}"
        for violation in violations
        for node in violation["nodes"]
        if violation["id"] not in excused
    }
    assert found == set()
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"the page is {wide}px wider than the screen"


def test_the_list_of_events(page, trail, scheme, width):
    page.goto("/admin/superoffice_hooks/event/")
    assert page.locator("#result_list tbody tr").count() == 50
    look(page, "events", scheme, width)
    page.goto("/admin/superoffice_hooks/event/?entity=contact&action=deleted")
    assert page.locator("#result_list tbody tr").count() == 1


def test_the_page_of_an_event(page, trail, scheme, width):
    event = Event.objects.get(name="y_equipment.created")
    page.goto(f"/admin/superoffice_hooks/event/{event.pk}/change/")
    assert page.get_by_text("2026-02-27 13:05:09").is_visible()
    look(page, "event", scheme, width)


def test_the_page_of_a_deletion(page, trail, scheme, width):
    event = Event.objects.get(name="sale.deleted")
    page.goto(f"/admin/superoffice_hooks/event/{event.pk}/change/")
    look(page, "deletion", scheme, width)


def test_values_are_text_and_nothing_runs(page, trail):
    event = Event.objects.get(primary_key=666)
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.goto(f"/admin/superoffice_hooks/event/{event.pk}/change/")
    assert page.get_by_text("<script>alert(1)</script>").first.is_visible()


def test_the_list_of_deliveries(page, trail, scheme, width):
    page.goto("/admin/superoffice_hooks/delivery/?outcome=quarantined")
    assert page.get_by_text("The body is not JSON").first.is_visible()
    look(page, "deliveries", scheme, width)


def test_the_page_of_a_quarantined_delivery(page, trail, scheme, width):
    delivery = Delivery.objects.get(outcome="quarantined")
    page.goto(f"/admin/superoffice_hooks/delivery/{delivery.pk}/change/")
    assert page.get_by_text('"Event": "contact.changed"').first.is_visible()
    look(page, "delivery", scheme, width)
