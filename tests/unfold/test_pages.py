"""Every page of the app under django-unfold: what we put into the blocks is really there."""

import re

import pytest

from superoffice_hooks.models import Delivery, Event
from tests.unfold.pages import ADMIN, PAGES, RECORD, TENANT

pytestmark = [pytest.mark.unfold, pytest.mark.django_db]


@pytest.fixture
def browse(client, auditor, trail):
    client.force_login(auditor)

    def get(url, **query):
        answer = client.get(url, query)
        assert answer.status_code == 200
        page = answer.content.decode()
        # Unfold's own templates, and not Django's: nobody else names these fonts.
        assert "unfold/css/styles.css" in page
        return page

    return get


def hrefs(page):
    return [href.replace("&amp;", "&") for href in re.findall('href="(.*?)"', page)]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_our_styles_and_offers_nothing_to_write(browse, name):
    page = browse(PAGES[name]())
    assert 'href="/static/superoffice_hooks/admin.css"' in page
    ours = [href for href in hrefs(page) if href.startswith(ADMIN)]
    assert not [href for href in ours if re.search("/(add|delete|history)/", href)]
    for button in ("_save", "_continue", "_addanother", "_saveasnew"):
        assert f'name="{button}"' not in page


@pytest.mark.parametrize("model", [Event, Delivery])
def test_nobody_writes(client, auditor, trail, model):
    client.force_login(auditor)
    row = model.objects.first()
    url = f"{ADMIN}/{model._meta.model_name}"
    assert client.get(f"{url}/add/").status_code == 403
    assert client.post(f"{url}/{row.pk}/change/", {"_save": "Save"}).status_code == 403
    assert client.post(f"{url}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


def test_the_overview_stands_above_the_models(browse):
    page = browse(f"{ADMIN}/", period="30d")
    assert "so-overview" in page
    assert f'href="{ADMIN}/event/"' in page
    assert f'href="{ADMIN}/delivery/"' in page


def test_the_list_of_events(browse):
    page = browse(f"{ADMIN}/event/")
    assert rows(page) == 50
    assert "name +2 technical" in re.sub("<.*?>", "", page)
    assert f"{ADMIN}/event/record/?{RECORD}" in hrefs(page)


def test_filters_and_search(browse):
    page = browse(f"{ADMIN}/event/")
    for parameter in ("entity", "action", "context_identifier"):
        assert [href for href in hrefs(page) if re.match(rf"\?{parameter}=\w+$", href)], parameter
    for name in (
        "changed_by_associate_id",
        "changed_field",
        "occurred_at_after",
        "occurred_at_before",
    ):
        assert f'name="{name}"' in page
    assert rows(browse(f"{ADMIN}/event/", q="contact:4711")) == 3
    assert rows(browse(f"{ADMIN}/event/", q="4711", changed_field="updatedCount")) == 2
    page = browse(f"{ADMIN}/event/", entity="person", context_identifier=TENANT)
    assert rows(page) == 1


def rows(page):
    return page.count('class="data-row')


def test_the_page_of_an_event(browse):
    page = browse(PAGES["event"]())
    assert 'class="so-facts"' in page
    assert "Values that SuperOffice told" in page
    assert "Fjordbygg Nord AS" in page
    assert "Fjordbygg og Sønner AS" in page  # before
    assert f"{ADMIN}/event/record/?{RECORD}" in hrefs(page)
    assert 'class="so-body"' in page


def test_the_page_of_a_record(browse):
    page = browse(PAGES["record"]())
    # Unfold's header names the list, and not the page.
    assert "contact 4711 · Fjordbygg Nord AS" in page.partition('id="content-main"')[2]
    assert page.count('class="so-entry"') == 3
    assert page.count('class="so-gap"') == 1
    assert "912345678" in page
    assert "Open in SuperOffice" not in page


def test_what_happened_around_a_record(browse):
    page = browse(PAGES["related"]())
    assert page.count('class="so-entry"') == 1
    assert "Hagen" not in page
    assert "lastname" in page


def test_a_deleted_record(browse):
    gone = Event.objects.get(name="sale.deleted")
    query = {"context_identifier": gone.context_identifier, "entity": "sale"}
    page = browse(f"{ADMIN}/event/record/", primary_key=gone.primary_key, **query)
    assert 'class="so-dossier"' in page
    assert "Values of the deleted row" in page


def test_the_list_of_deliveries(browse):
    page = browse(f"{ADMIN}/delivery/", outcome="quarantined")
    assert rows(page) == 1
    assert rows(browse(f"{ADMIN}/delivery/", outcome="duplicate")) == 1


def test_the_page_of_a_delivery(browse):
    page = browse(PAGES["delivery"]())
    assert 'class="so-body"' in page
    assert '<mark id="so-fault">' in page
    assert 'name="_reprocess"' in page or "rocess again" in page
