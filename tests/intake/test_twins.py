"""The same change under another EventId or by another webhook: linked, and nothing dropped."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import DataError, connections

from superoffice_hooks.intake import rows
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.signals import event_recorded
from tests.builders import body, encode, post

WRITERS, ROUNDS = 8, 40

WIRE = body(
    Changes=["name", "person_id"], Values={"sale_id": 7}, FieldValues={"name": "A", "person_id": 9}
)
AGAIN = {
    "another id": {"EventId": str(uuid4())},
    "another webhook": {"EventId": str(uuid4()), "WebhookName": "Second"},
    "a property of the other webhook": {"EventId": str(uuid4()), "Environment": "Test"},
}


def again(**changes):
    """The change of ``WIRE`` as another body."""
    return WIRE | {"EventId": str(uuid4())} | changes


def events():
    return list(Event.objects.order_by("id"))


@pytest.mark.django_db
@pytest.mark.parametrize("changes", AGAIN.values(), ids=AGAIN)
def test_the_same_change_again_is_a_twin_of_the_first(changes):
    assert post(WIRE).content == b"recorded\n"
    assert post(WIRE | changes).content == b"recorded\n"
    first, twin = events()
    assert (first.twin_of, twin.twin_of) == (None, first)
    assert first.fingerprint is not None
    assert twin.fingerprint is None
    assert str(twin.event_id) == changes["EventId"]


@pytest.mark.django_db
def test_a_twin_is_stored_whole():
    post(WIRE)
    raw = encode(again(WebhookName="Second", Environment="Test"))
    post(raw)
    first, twin = events()
    for model, columns in (
        (ChangedField, ("position", "name")),
        (DeletedValue, ("name", "value")),
        (RelatedRecord, ("entity", "primary_key", "context_identifier", "occurred_at")),
    ):
        told = [
            sorted(model.objects.filter(event=event).values_list(*columns))
            for event in (first, twin)
        ]
        assert told[0] == told[1] != []
    assert twin.field_values == first.field_values == {"name": "A", "person_id": 9}
    assert (twin.webhook_name, twin.properties) == ("Second", {"Environment": "Test"})
    delivery = twin.deliveries.get()
    assert (delivery.outcome, bytes(delivery.body)) == ("recorded", raw)


@pytest.mark.django_db
def test_all_twins_are_of_the_first():
    for _ in range(4):
        post(again())
    first, *twins = events()
    assert [twin.twin_of for twin in twins] == [first] * 3


@pytest.mark.django_db
def test_a_twin_is_announced_like_every_new_event():
    heard = []

    def receiver(event, delivery, **kwargs):
        heard.append((event.pk, event.twin_of_id, delivery.outcome))

    event_recorded.connect(receiver)
    try:
        post(WIRE)
        twin = again()
        post(twin)
        post(twin)
    finally:
        event_recorded.disconnect(receiver)
    first, second = events()
    assert heard == [(first.pk, None, "recorded"), (second.pk, first.pk, "recorded")]


@pytest.mark.django_db
def test_a_twin_that_comes_again_is_a_duplicate_of_the_twin():
    twin = again()
    for wire in (WIRE, twin, twin):
        post(wire)
    assert [event.deliveries.count() for event in events()] == [1, 2]
    assert Delivery.objects.latest("id").outcome == "duplicate"


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 1], ids=["first", "twin"])
def test_an_event_that_two_webhooks_send_under_one_id_is_there_once(place):
    sent = (WIRE, again())
    for wire in sent:
        post(wire)
    raw = encode(sent[place] | {"WebhookName": "Second"})
    assert post(raw).content == b"duplicate\n"
    assert Event.objects.count() == 2
    delivery = Delivery.objects.latest("id")
    assert (delivery.event, bytes(delivery.body)) == (events()[place], raw)


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 1], ids=["first", "twin"])
def test_the_id_of_another_change_is_a_contradiction_all_the_same(place):
    sent = (WIRE, again())
    for wire in sent:
        post(wire)
    answer = post(sent[place] | {"FieldValues": {"name": "B"}})
    assert answer.content.startswith(b"quarantined: ")
    assert Delivery.objects.latest("id").event == events()[place]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "difference",
    [
        {"Timestamp": "2026-03-02T09:15:27.1234568Z"},
        {"ContextIdentifier": "Cust24681"},
        {"Changes": ["name"]},
        {"FieldValues": {"name": "B"}},
    ],
    ids=str,
)
def test_another_change_is_no_twin(difference):
    post(WIRE)
    post(again(**difference))
    assert [event.twin_of for event in events()] == [None, None]
    assert all(event.fingerprint for event in events())


@pytest.mark.django_db
def test_what_is_not_kept_exactly_is_nobodys_twin():
    odd = {"FieldValues": {"name": "\ud83d"}}
    for wire in (again(**odd), again(**odd)):
        post(json.dumps(wire).encode())
    assert [(event.twin_of, event.fingerprint) for event in events()] == [(None, None)] * 2


@pytest.mark.django_db
def test_nor_is_it_taken_for_the_same_under_one_id():
    odd = WIRE | {"FieldValues": {"name": "\ud83d"}}
    post(json.dumps(odd).encode())
    answer = post(json.dumps(odd | {"WebhookName": "Second"}).encode())
    assert answer.content.startswith(b"quarantined: ")


@pytest.mark.django_db
def test_a_copy_that_is_faster_leaves_a_duplicate(monkeypatch):
    monkeypatch.setattr(rows, "is_possible", lambda alias: False)
    post(WIRE)
    raw = encode(again())
    insert = rows._insert

    def insert_when_a_copy_has_arrived(*arguments):
        if "twin_of_id" in arguments[2]:
            monkeypatch.setattr(rows, "_insert", insert)
            post(raw)
        return insert(*arguments)

    monkeypatch.setattr(rows, "_insert", insert_when_a_copy_has_arrived)
    assert post(raw).content == b"duplicate\n"
    assert [event.deliveries.count() for event in events()] == [1, 2]


@pytest.mark.django_db
def test_a_twin_whose_values_the_database_refuses_is_quarantined(monkeypatch):
    monkeypatch.setattr(rows, "is_possible", lambda alias: False)
    post(WIRE)
    insert = rows._insert

    def refuse_twins(*arguments):
        if "twin_of_id" in arguments[2]:
            raise DataError("out of range")
        return insert(*arguments)

    monkeypatch.setattr(rows, "_insert", refuse_twins)
    answer = post(again())
    assert answer.content == b"quarantined: The database refuses the values (DataError).\n"
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twins_at_once_are_one_first_and_its_twins():
    barrier = Barrier(WRITERS)

    def deliver(writer):
        try:
            answers = []
            for number in range(ROUNDS):
                raw = encode(body(PrimaryKey=number, WebhookName=f"Hook {writer}"))
                barrier.wait(timeout=60)
                answers.append((post(raw).status_code, post(raw).content))
            return answers
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WRITERS) as pool:
        answers = [answer for found in pool.map(deliver, range(WRITERS)) for answer in found]

    assert set(answers) == {(200, b"duplicate\n")}
    for number in range(ROUNDS):
        told = Event.objects.filter(primary_key=number)
        first = told.get(twin_of=None)
        assert first.fingerprint is not None
        assert told.filter(twin_of=first, fingerprint=None).count() == WRITERS - 1
    assert ChangedField.objects.count() == 3 * WRITERS * ROUNDS
    assert set(Delivery.objects.values_list("outcome", flat=True)) == {"recorded", "duplicate"}
