"""An auditor's questions to the demo's week, asked with mouse and keyboard."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from superoffice_hooks.samples import week
from tests.browser.test_pages import look
from tests.builders import post

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ADMIN = "/admin/superoffice_hooks"


@pytest.fixture
def deliveries():
    """The demo's week up to now, posted; as the JSON that was sent, the broken ones left out."""
    sent = []
    for sample in week(300, 1, datetime.now(UTC)):
        post(sample.body, **{name.replace("-", "_"): text for name, text in sample.headers.items()})
        try:
            sent.append(json.loads(sample.body))
        except ValueError:
            continue
    return sent


@pytest.fixture
def story(deliveries):
    """The company of the story, and the first two names that it bore."""
    born = next(wire for wire in deliveries if wire["Event"] == "contact.created")
    renamed = next(
        wire
        for wire in deliveries
        if wire["PrimaryKey"] == born["PrimaryKey"] and "name" in wire["Changes"] and wire != born
    )
    return born, renamed


def test_who_changed_the_companys_name_last_week_and_what_was_it_before(page, story, scheme, width):
    born, renamed = story
    page.goto(f"{ADMIN}/event/")
    page.get_by_label("The field's name").fill("name")
    page.get_by_label("The field's name").press("Enter")
    page.wait_for_url("**changed_field=name**")
    monday = datetime.now(UTC) - timedelta(days=8)
    page.get_by_label("From", exact=True).fill(f"{monday:%Y-%m-%d}")
    page.get_by_label("From", exact=True).press("Enter")
    page.wait_for_url(f"**occurred_at_after={monday:%Y-%m-%d}**")
    page.goto(page.url + f"&q=contact:{renamed['PrimaryKey']}")
    assert "changed_field=name" in page.url
    look(page, "filtered", scheme, width)
    page.locator("#result_list").get_by_role(
        "link", name=f"contact {renamed['PrimaryKey']}"
    ).last.click()
    entry = page.locator(".so-entry", has_text=renamed["FieldValues"]["name"]).filter(
        has_text=born["FieldValues"]["name"]
    )
    expect(entry).to_have_count(1)
    expect(entry).to_contain_text(f"by associate {renamed['ChangedByAssociateId']}")
    row = entry.get_by_role("row", name=re.compile("^name "))
    expect(row.get_by_role("cell").nth(0)).to_contain_text(born["FieldValues"]["name"])
    expect(row.get_by_role("cell").nth(1)).to_contain_text(renamed["FieldValues"]["name"])
    expect(entry).to_contain_text("derived from the event of")
    look(page, "record", scheme, width)


def test_is_anything_missing_and_who_is_related(page, story, scheme, width):
    company = story[0]["PrimaryKey"]
    query = f"context_identifier=Cust10117&entity=contact&primary_key={company}"
    page.goto(f"{ADMIN}/event/record/?{query}")
    gap = page.locator(".so-gap", has_text="no event in the trail named their fields")
    expect(gap.get_by_role("row", name=re.compile("category_idx"))).to_be_visible()
    expect(page.locator(".so-gap", has_text="was off from")).to_be_visible()
    page.get_by_role("link", name="Around this record").click()
    page.get_by_role("navigation", name="By entity").get_by_role("link", name="person").click()
    page.wait_for_url("**of=person**")
    look(page, "related", scheme, width)
    person = page.locator(".so-timeline").get_by_role("link", name=re.compile("^person ")).last
    title = person.inner_text()
    person.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    look(page, "person", scheme, width)


def test_what_did_the_deleted_sale_hold(page, deliveries, scheme, width):
    gone = next(wire for wire in deliveries if wire["Event"] == "sale.deleted")
    page.goto(f"{ADMIN}/event/?entity=sale&action=deleted")
    page.get_by_role("link", name=f"sale {gone['PrimaryKey']}").first.click()
    dossier = page.locator(".so-dossier")
    expect(dossier).to_contain_text("This record was deleted")
    expect(dossier).to_contain_text(f"by associate {gone['ChangedByAssociateId']}")
    expect(dossier).to_contain_text(gone["FieldValues"]["heading"])
    held = dossier.get_by_role("link", name=f"contact {gone['Values']['contact_id']}")
    look(page, "dossier", scheme, width)
    held.first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("contact")


def test_the_overview_leads_to_the_lists_behind_its_bars(page, deliveries, scheme, width):
    page.goto(f"{ADMIN}/")
    look(page, "overview", scheme, width)
    page.locator("svg a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/event/?**")
    expect(page.locator("#result_list tbody tr").first).to_be_visible()


def test_why_is_a_delivery_in_quarantine(page, deliveries, scheme, width):
    page.goto(f"{ADMIN}/delivery/?outcome=quarantined")
    look(page, "quarantine", scheme, width)
    rows = page.locator("#result_list tbody tr", has_text="not JSON")
    rows.get_by_role("link").first.click()
    expect(page.locator("mark").first).to_be_visible()
    look(page, "broken", scheme, width)


def test_the_reader_switches_language(page, deliveries, settings, scheme, width):
    settings.ROOT_URLCONF = "project.urls"
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "project"]
    pages = Path(__file__).parents[2] / "templates"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [pages]}]
    page.goto("/")
    look(page, "front", scheme, width)
    page.get_by_role("button", name="norsk (bokmål)").click()
    expect(page.locator("html")).to_have_attribute("lang", "nb")
    page.wait_for_load_state()
    page.goto(f"{ADMIN}/event/")
    expect(page.locator("html")).to_have_attribute("lang", "nb")
    expect(page.locator("#result_list")).to_contain_text("tekniske")
    look(page, "norwegian", scheme, width)
