"""When the database does not take it; and whose transaction it is."""

import gzip
import time
from unittest import mock

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.utils import timezone

from superoffice_hooks.conf import Endpoint
from superoffice_hooks.intake import rows
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.settle import settle
from superoffice_hooks.models import ChangedField, Delivery, Event
from superoffice_hooks.signals import event_recorded
from tests.builders import body, encode, inserts, post
from tests.intake.commits import losing_the_answer_to_a_commit


def failing(table, error):
    """Let every INSERT into this table fail, as the database would."""

    def execute(run, sql, params, many, context):
        if inserts(sql, table):
            raise error
        return run(sql, params, many, context)

    return connection.execute_wrapper(execute)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "table",
    [
        "superoffice_hooks_event",
        "superoffice_hooks_changedfield",
        "superoffice_hooks_deletedvalue",
        "superoffice_hooks_delivery",
    ],
)
def test_when_nothing_can_be_stored_the_answer_is_503_and_nothing_is(table, caplog):
    wire = body(Values={"contact_id": 7})
    with failing(table, OperationalError("disk full")):
        response = post(wire)
    assert (response.status_code, response.content) == (503, b"The delivery could not be stored.\n")
    assert not Event.objects.exists()
    assert not ChangedField.objects.exists()
    assert not Delivery.objects.exists()
    assert "could not be stored" in caplog.text
    assert post(wire).content == b"recorded\n"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [DataError("no"), IntegrityError("no")], ids=["data", "integrity"]
)
def test_values_that_the_database_refuses_are_quarantined(error):
    wire = body()
    with failing("superoffice_hooks_changedfield", error):
        response = post(wire)
    assert response.status_code == 200
    delivery = Delivery.objects.get()
    assert delivery.reason == f"The database refuses the values ({type(error).__name__})."
    assert bytes(delivery.body) == encode(wire)
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_so_are_those_of_a_body_that_says_more_than_its_rows():
    # Of it nobody can say whether another tells the same change.
    wire = body(WebhookName="W" * 1000)
    with failing("superoffice_hooks_changedfield", DataError("no")):
        assert post(wire).status_code == 200
    assert Delivery.objects.get().reason == "The database refuses the values (DataError)."


@pytest.mark.django_db(transaction=True)
def test_what_failed_once_for_the_moment_is_inserted_again():
    errors = [OperationalError(1213, "Deadlock found when trying to get lock")]

    def deadlock(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_delivery") and errors:
            raise errors.pop()
        return run(sql, params, many, context)

    with connection.execute_wrapper(deadlock):
        assert post(body()).content == b"recorded\n"
    assert errors == []
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 1)


LARGE = encode(body(FieldValues={"note": "x" * 2_000_000}))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("code", "raw"),
    [
        pytest.param(1153, encode(body()), id="it says so"),
        pytest.param(2006, LARGE, id="it has gone away, of a large body"),
        pytest.param(2013, LARGE, id="it was lost, of a large body"),
        pytest.param(2006, gzip.compress(LARGE), id="it has gone away, of a compressed body"),
    ],
)
def test_rows_that_fit_no_packet_are_quarantined(code, raw):
    with failing("superoffice_hooks_event", OperationalError(code, "the server's words")):
        assert post(raw).status_code == 200
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.event) == ("quarantined", None)
    assert "max_allowed_packet" in delivery.reason
    assert bytes(delivery.body) == raw


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", [2006, 2013])
def test_a_server_that_hangs_up_on_a_small_body_is_away(code):
    with failing("superoffice_hooks_event", OperationalError(code, "the server's words")):
        assert post(body()).status_code == 503
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_has_waited_in_vain_is_not_repeated():
    attempts = []

    def locked(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_event"):
            attempts.append(sql)
            time.sleep(0.05)
            raise OperationalError("database is locked")
        return run(sql, params, many, context)

    with mock.patch.object(rows, "AT_ONCE", 0.01), connection.execute_wrapper(locked):
        assert post(body()).status_code == 503
    assert len(attempts) == 1


@pytest.mark.django_db(transaction=True)
def test_a_commit_whose_answer_is_lost_is_one_event_one_delivery_and_one_signal():
    signals = []

    def receiver(event, **kwargs):
        signals.append(event.pk)

    event_recorded.connect(receiver)
    try:
        with losing_the_answer_to_a_commit():
            assert post(body()).content == b"recorded\n"
    finally:
        event_recorded.disconnect(receiver)
    assert signals == [Event.objects.get().pk]
    assert Delivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("raw", "outcome"),
    [(encode(body(Event="test")), "test"), (b"not JSON", "quarantined")],
    ids=["test event", "unreadable"],
)
def test_a_commit_whose_answer_is_lost_is_one_delivery_without_an_event_too(raw, outcome):
    with losing_the_answer_to_a_commit():
        assert post(raw).content.startswith(outcome.encode())
    assert Delivery.objects.get().outcome == outcome


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connection to lose")
@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        pytest.param(encode(body()), b"recorded", id="new event"),
        pytest.param(encode(body(Event="test")), b"test", id="test event"),
        pytest.param(b"not JSON", b"quarantined", id="unreadable"),
    ],
)
def test_a_connection_that_was_lost_meanwhile_costs_no_delivery(raw, answer):
    # What CONN_MAX_AGE keeps open is gone after the database was restarted.
    settle(arrival_of(encode(body())), Endpoint("default", ()))
    with connections["default"].copy().cursor() as killer:
        with connection.cursor() as cursor:
            own = "pg_backend_pid()" if connection.vendor == "postgresql" else "connection_id()"
            cursor.execute(f"SELECT {own}")
            [number] = cursor.fetchone()
        kill = "SELECT pg_terminate_backend(%s)" if connection.vendor == "postgresql" else "KILL %s"
        killer.execute(kill, [number])
        killer.db.close()
    delivery = settle(arrival_of(raw), Endpoint("default", ()))
    assert delivery.outcome.encode() == answer


def arrival_of(raw):
    return Arrival("default", timezone.now(), raw, {}, "", "", "")


@pytest.mark.django_db(transaction=True)
def test_nobody_elses_transaction_can_take_a_200_back():
    # Without durable= a site's own atomic() around the request could roll it back.
    with transaction.atomic():
        assert post(body(Event="test")).status_code == 503
        assert post(b"not JSON").status_code == 503
        assert post(body()).status_code == 503
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_log_line_holds_the_body_or_the_secret(caplog, settings):
    wire = body(FieldValues={"name": "canary-person"}, PrimaryKey=1)
    with failing("superoffice_hooks_event", OperationalError("disk full\ncanary-person")):
        post(wire)
    post(wire | {"PrimaryKey": "canary-person"})
    post(wire, signature="canary-signature")
    assert "disk full" in caplog.text
    for canary in ("canary-person", "canary-signature", settings.SECRET):
        assert canary not in caplog.text
        assert all(canary not in str(record.__dict__) for record in caplog.records)


@pytest.mark.django_db
def test_a_mistake_of_our_own_is_503_and_never_500():
    with mock.patch("superoffice_hooks.intake.settle.parse", side_effect=ZeroDivisionError):
        assert post(body()).status_code == 503


@pytest.mark.django_db(transaction=True)
def test_the_rows_are_committed_before_the_answer_whatever_atomic_requests_says():
    assert connection.settings_dict["ATOMIC_REQUESTS"] is True
    seen = []

    def receiver(**kwargs):
        seen.append(transaction.get_connection().in_atomic_block)

    event_recorded.connect(receiver)
    try:
        assert post(body()).status_code == 200
    finally:
        event_recorded.disconnect(receiver)
    assert seen == [False]
