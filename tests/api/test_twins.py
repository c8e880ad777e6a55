"""What programs are told of a change that was told twice."""

import csv
import json

import pytest

from superoffice_hooks.models import Event
from tests.builders import body, post

API = "/superoffice/api/"
MARCH = {"occurred_at_after": "2026-03-01", "occurred_at_before": "2026-03-31"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(db):
    """A change that three webhooks told, and one that one did: the ids of their events."""
    for webhook in ("First", "Second", "Third"):
        post(body(WebhookName=webhook))
    post(body(PrimaryKey=1, WebhookName="First", FieldValues={"contact_id": 4711}))
    return list(Event.objects.order_by("id").values_list("id", flat=True))


def twins(answer):
    return {event["id"]: event["twin_of"] for event in answer.json()["results"]}


def test_the_list_gives_every_event_and_whose_twin_it_is(admin_client, told):
    first, second, third, other = told
    every = {first: None, second: first, third: first, other: None}
    assert twins(admin_client.get(f"{API}events/")) == every
    assert twins(admin_client.get(f"{API}events/follow/")) == every
    assert admin_client.get(f"{API}events/{second}/").json()["twin_of"] == first


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"is_twin": "true"}, [2, 1]),
        ({"is_twin": "false"}, [3, 0]),
        ({"is_twin": "true", "webhook_name": "Second"}, [1]),
        ({"is_twin": "false", "webhook_name": "Second"}, []),
        ({"is_twin": "true", "ordering": "occurred_at"}, [1, 2]),
        ({"is_twin": "false", "primary_key": "4711"}, [0]),
    ],
    ids=str,
)
def test_can_be_asked_for(admin_client, told, query, places):
    assert list(twins(admin_client.get(f"{API}events/", query))) == [told[it] for it in places]


@pytest.mark.parametrize("value", ["", "True", "1", "yes", "true,false"])
def test_a_value_that_is_neither_is_refused(admin_client, value):
    answer = admin_client.get(f"{API}events/", {"is_twin": value})
    assert (answer.status_code, list(answer.json())) == (400, ["is_twin"])


def test_an_export_gives_every_event(admin_client, told):
    answer = admin_client.get(f"{API}events/export.ndjson", {"ordering": "received_at"})
    rows = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [row["twin_of"] for row in rows] == [None, told[0], told[0], None]
    answer = admin_client.get(f"{API}events/export.csv", {"ordering": "received_at"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    found = [row["twin_of"] for row in csv.DictReader(text.splitlines())]
    assert found == ["", str(told[0]), str(told[0]), ""]
    answer = admin_client.get(f"{API}events/export.ndjson", {"is_twin": "false"})
    assert len(b"".join(answer.streaming_content).splitlines()) == 2


def test_a_record_gives_each_change_once_with_the_ids_of_its_twins(admin_client, told):
    found = admin_client.get(f"{API}records/Cust24680/contact/4711/").json()
    [entry] = found["entries"]
    assert (entry["event"]["id"], entry["twins"]) == (told[0], told[1:3])
    assert entry["gaps"] == []
    around = [mention["event"]["id"] for mention in found["related"]["results"]]
    assert around == [told[3]]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 2),
        ({"entity": "contact"}, 2),
        ({"is_twin": "false"}, 2),
        ({"is_twin": "true"}, 2),
        ({"webhook_name": "Second"}, 1),
        ({"webhook_name": "First"}, 2),
        ({"webhook_name": ""}, 0),
    ],
    ids=str,
)
def test_a_summary_counts_each_change_once_or_what_is_asked_for(admin_client, told, query, count):
    assert admin_client.get(f"{API}summary/", MARCH | query).json()["count"] == count


def test_a_summary_counts_the_event_that_has_an_id(admin_client, told):
    query = MARCH | {"event_id": str(Event.objects.get(pk=told[1]).event_id)}
    assert admin_client.get(f"{API}summary/", query).json()["count"] == 1
