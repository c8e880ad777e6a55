"""``event_recorded``: once for each new event, after commit, and at nobody's expense."""

from unittest.mock import create_autospec

import pytest
from django.db import connection

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import event_recorded
from tests.builders import body, encode, post


def model_receiver(sender, event, delivery, **kwargs):
    """The receiver as the documentation of the signal has it."""


@pytest.fixture
def connect():
    connected = []

    def connect(receiver):
        event_recorded.connect(receiver, weak=False)
        connected.append(receiver)
        return receiver

    yield connect
    for receiver in connected:
        event_recorded.disconnect(receiver)


@pytest.mark.django_db
def test_a_new_event_is_announced_once_with_the_documented_arguments(connect):
    receiver = connect(create_autospec(model_receiver))
    post(body(Values={"contact_id": 4711}))
    [call] = receiver.call_args_list
    assert call.args == ()
    assert call.kwargs == {
        "signal": event_recorded,
        "sender": Event,
        "event": Event.objects.get(),
        "delivery": Delivery.objects.get(),
    }


@pytest.mark.django_db
def test_a_receiver_finds_all_rows_of_the_event_stored(connect):
    found = []

    def receiver(event, delivery, **kwargs):
        found.append([row.name for row in event.changed_fields.all()])
        found.append([(row.name, row.value) for row in event.deleted_values.all()])
        found.append(bytes(Delivery.objects.get(pk=delivery.pk, event=event).body))

    connect(receiver)
    wire = body(Values={"contact_id": 4711})
    post(wire)
    assert found == [["name", "orgNr", "updated"], [("contact_id", 4711)], encode(wire)]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_runs_after_the_commit(connect):
    seen = []

    def receiver(event, **kwargs):
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute(
                    "SELECT COUNT(*) FROM superoffice_hooks_delivery WHERE event_id = %s",
                    [event.pk],
                )
                seen.append((connection.in_atomic_block, cursor.fetchone()))
        finally:
            other.close()

    connect(receiver)
    post(body())
    assert seen == [(False, (1,))]


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (body(Event="test", Entity=...), "test"),
        (b"not JSON", "quarantined"),
        (body(PrimaryKey="4711"), "quarantined"),
    ],
    ids=["a test event", "not JSON", "no event"],
)
@pytest.mark.django_db
def test_what_is_no_event_is_not_announced(connect, raw, outcome):
    receiver = connect(create_autospec(model_receiver))
    assert post(raw).status_code == 200
    assert Delivery.objects.get().outcome == outcome
    assert receiver.call_args_list == []


@pytest.mark.django_db
def test_neither_a_repetition_nor_a_contradiction_is_announced(connect):
    wire = body()
    post(wire)
    receiver = connect(create_autospec(model_receiver))
    post(wire)
    post(wire | {"Changes": ["phone"]})
    outcomes = Delivery.objects.order_by("id").values_list("outcome", flat=True)
    assert list(outcomes) == ["recorded", "duplicate", "quarantined"]
    assert receiver.call_args_list == []


@pytest.mark.django_db
def test_what_is_refused_is_not_announced(connect):
    receiver = connect(create_autospec(model_receiver))
    assert post(body(), signature="wrong").status_code == 401
    assert receiver.call_args_list == []


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_raises_costs_nothing(connect, caplog):
    def broken(**kwargs):
        raise RuntimeError("a bug of the site")

    connect(broken)
    after = connect(create_autospec(model_receiver))
    response = post(body())
    assert (response.status_code, response.content) == (200, b"recorded\n")
    assert Event.objects.get().deliveries.get().outcome == "recorded"
    assert len(after.call_args_list) == 1
    [record] = [record for record in caplog.records if record.name == "django.dispatch"]
    assert record.levelname == "ERROR"
    assert "a bug of the site" in str(record.exc_info[1])


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_breaks_the_database_connection_costs_nothing(connect):
    def broken(**kwargs):
        connection.close()
        Event.objects.raw("SELECT nonsense FROM nowhere")[0]

    connect(broken)
    assert post(body()).status_code == 200
    assert Event.objects.count() == 1
