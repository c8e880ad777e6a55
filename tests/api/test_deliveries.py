"""``api/deliveries/``: what arrived, for operators."""

import base64

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Delivery
from tests.builders import body, encode, post

URL = "/superoffice/api/deliveries/"
BROKEN = b'{"Event": "contact.changed", "Name": "\xc3\xa5", '
LATIN = '{"Event": "contact.changed", "Name": "å"'.encode("latin-1")

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(reader):
    """A recorded event and its duplicate, a test and two bodies that nobody can use."""
    wire = body()
    post(wire)
    post(wire, **{"X-SuperOffice-Retry": "1"})
    post(body(Event="test", Entity=...))
    post(BROKEN)
    post(LATIN)
    return reader


def outcomes(client, **query):
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return [delivery["outcome"] for delivery in answer.json()["results"]]


def test_the_list_is_last_first_and_has_no_bodies(stored):
    assert outcomes(stored) == ["quarantined", "quarantined", "test", "duplicate", "recorded"]
    [last, *_] = stored.get(URL).json()["results"]
    assert set(last) == {
        *("id", "endpoint", "received_at", "outcome", "reason", "event", "signature", "key_id"),
        *("remote_address", "headers"),
    }
    assert "not UTF-8" in last["reason"]


def test_the_list_does_not_read_the_bodies(stored):
    with CaptureQueriesContext(connection) as queries:
        stored.get(URL)
    assert not [query for query in queries if '"body"' in query["sql"] or "`body`" in query["sql"]]


def test_one_delivery_is_told_with_its_body(stored):
    delivery = Delivery.objects.get(outcome="recorded")
    told = stored.get(f"{URL}{delivery.pk}/").json()
    assert told == {
        "id": delivery.pk,
        "endpoint": "default",
        "received_at": delivery.received_at.isoformat().replace("+00:00", "Z"),
        "outcome": "recorded",
        "reason": "",
        "event": delivery.event_id,
        "signature": delivery.signature,
        "key_id": delivery.key_id,
        "remote_address": "127.0.0.1",
        "headers": delivery.headers,
        "body": bytes(delivery.body).decode(),
        "body_encoding": "utf-8",
    }
    assert told["headers"]["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("raw", "shown", "encoding"),
    [(BROKEN, BROKEN.decode(), "utf-8"), (LATIN, base64.b64encode(LATIN).decode(), "base64")],
    ids=["text", "bytes"],
)
def test_every_byte_of_a_body_can_be_had(stored, raw, shown, encoding):
    [key] = [row.pk for row in Delivery.objects.all() if bytes(row.body) == raw]
    told = stored.get(f"{URL}{key}/").json()
    assert (told["body"], told["body_encoding"]) == (shown, encoding)


def test_filters_select(stored):
    first, second, *_ = Delivery.objects.order_by("id")
    moment = second.received_at.isoformat().replace("+00:00", "Z")
    assert outcomes(stored, outcome="test") == ["test"]
    assert outcomes(stored, outcome="quarantined") == ["quarantined"] * 2
    assert outcomes(stored, outcome="refused") == []
    assert outcomes(stored, event=first.event_id) == ["duplicate", "recorded"]
    assert outcomes(stored, received_at_before=moment) == ["duplicate", "recorded"]
    assert outcomes(stored, received_at_after=moment, ordering="received_at") == [
        *("duplicate", "test", "quarantined", "quarantined")
    ]
    assert outcomes(stored, ordering="id")[0] == "recorded"
    assert outcomes(stored, ordering="-id") == outcomes(stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("outcome", value) for value in ("lost", "", "Test")),
        *(("event", value) for value in ("x", "", str(2**63))),
        *(("ordering", value) for value in ("outcome", "")),
        *(("received_at_after", value) for value in ("x", "")),
        *(("page_size", "0"), ("cursor", "1"), ("entity", "contact"), ("body", "x")),
    ],
)
def test_what_cannot_be_answered_is_refused(stored, name, value):
    answer = stored.get(URL, {name: value})
    assert (answer.status_code, list(answer.json())) == (400, [name])


@pytest.mark.parametrize("order", ["-id", "id", "received_at", "-received_at"])
def test_a_walk_visits_each_delivery_once(stored, order):
    seen, url = [], f"{URL}?page_size=2&ordering={order}"
    while url:
        page = stored.get(url).json()
        seen += [delivery["id"] for delivery in page["results"]]
        url = page["next"]
    ids = Delivery.objects.order_by(order.replace("received_at", "id")).values_list("id", flat=True)
    assert seen == list(ids)


def test_whose_events_are_not_to_be_seen_neither_are_the_deliveries(scoped):
    for context in ("Mine", "Theirs"):
        post(body(ContextIdentifier=context))
    post(BROKEN)
    mine, theirs, broken = Delivery.objects.order_by("id")
    assert [row["id"] for row in scoped.get(URL).json()["results"]] == [mine.pk]
    answers = [scoped.get(f"{URL}{row.pk}/").status_code for row in (mine, theirs, broken)]
    assert answers == [200, 404, 404]


def test_the_permission_is_one_of_its_own(client, django_user_model):
    post(encode(body()))
    user = django_user_model.objects.create_user("reader of events")
    user.user_permissions.add(Permission.objects.get(codename="view_event"))
    client.force_login(user)
    assert client.get("/superoffice/api/events/").status_code == 200
    for path in ("", f"{Delivery.objects.get().pk}/"):
        assert client.get(URL + path).status_code == 403
