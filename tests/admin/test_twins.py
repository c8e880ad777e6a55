"""What people see of a change that was told twice."""

import json

import pytest
from django.urls import reverse
from django.utils.html import escape

from superoffice_hooks.models import Event
from tests.admin.test_event import facts, text
from tests.admin.test_event import page as event_page
from tests.admin.test_export import choose, opened
from tests.admin.test_record import deliver, items
from tests.admin.test_record import page as record_page
from tests.builders import body, post

LIST = "/admin/superoffice_hooks/event/"
WEBHOOK = '<b>Second</b> & "one" more'

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(db):
    """An event and its twin by another webhook, beside an event of another record."""
    post(body(PrimaryKey=1))
    wire = body(PrimaryKey=4711)
    post(wire)
    post(body(PrimaryKey=4711, WebhookName=WEBHOOK))
    return Event.objects.get(event_id=wire["EventId"]), Event.objects.latest("id")


def listed(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return {event.pk for event in answer.context["cl"].result_list}


def address(event):
    return reverse("admin:superoffice_hooks_event_change", args=[event.pk])


def test_the_list_shows_each_change_once(pair, admin_client):
    first, twin = pair
    assert first.pk in listed(admin_client)
    assert len(listed(admin_client)) == 2
    for query in (
        {"entity": "contact"},
        {"q": "contact"},
        {"q": "4711"},
        {"changed_field": "name"},
    ):
        assert twin.pk not in listed(admin_client, **query)
        assert first.pk in listed(admin_client, **query)


def test_the_list_of_one_webhook_shows_what_it_sent(pair, admin_client):
    assert listed(admin_client, webhook_name=WEBHOOK) == {pair[1].pk}
    assert listed(admin_client, q=WEBHOOK) == {pair[1].pk}
    assert pair[0].pk in listed(admin_client, webhook_name="Audit trail")


def test_the_search_for_an_id_shows_the_twin(pair, admin_client):
    assert listed(admin_client, q=str(pair[1].event_id)) == {pair[1].pk}


def test_an_export_of_the_list_drops_nothing(pair, admin_client):
    first, twin = pair
    files = opened(choose(admin_client, LIST, [first], across=True))
    rows = [json.loads(line) for line in files["events.ndjson"].splitlines()]
    assert [row["id"] for row in rows] == [twin.pk, first.pk, first.pk - 1]
    assert [row["twin_of"] for row in rows] == [first.pk, None, None]
    assert json.loads(files["manifest.json"])["count"] == 3


def test_a_record_says_what_told_the_change_again(pair, admin_client):
    first, twin = pair
    [entry] = items(record_page(admin_client))
    assert f"event-{first.pk}" in entry
    link = f'<a href="{address(twin)}">{twin.event_id}</a>'
    assert f"It also arrived as: {link} (webhook <bdi>{escape(WEBHOOK)}</bdi>)" in entry


def test_a_record_names_the_first_ten_twins(admin_client):
    for _ in range(13):
        deliver(1, told={"name": "A"}, changes=["name"], WebhookName="")
    [entry] = items(record_page(admin_client))
    assert entry.count("/change/") == 1 + 10  # its own, and the twins'
    assert "and 2 more events" in entry
    assert "(webhook" not in entry


def test_a_change_that_was_told_once_says_nothing(admin_client):
    deliver(1)
    assert "also arrived" not in record_page(admin_client)
    assert "also arrived" not in event_page(admin_client)


def test_the_page_of_the_first_lists_its_twins(pair, admin_client):
    html = event_page(admin_client, pair[0])
    arrived = facts(html)["It also arrived as"]
    assert arrived == f"{pair[1].event_id} (webhook {escape(WEBHOOK)} )"
    assert address(pair[1]) in html
    assert "tells the same change as" not in html


def test_the_page_of_a_twin_says_whose_twin_it_is(pair, admin_client):
    first, twin = pair
    html = event_page(admin_client, twin)
    shown = " ".join(text(html).split())
    assert f"This event tells the same change as {first.event_id} (webhook Audit trail )" in shown
    assert f'href="{address(first)}">{first.event_id}</a>' in html
    assert "It also arrived as" not in html
    assert facts(html)["Event id"] == str(twin.event_id)
    assert facts(html)["Webhook"] == escape(WEBHOOK)
