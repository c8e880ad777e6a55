"""When the database does not take it; and whose transaction it is."""

from unittest import mock

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from superoffice_hooks.models import ChangedField, Delivery, Event
from superoffice_hooks.signals import event_recorded
from tests.builders import body, encode, post


def failing(table, error):
    """Let every INSERT into this table fail, as the database would."""

    def execute(run, sql, params, many, context):
        if sql.startswith("INSERT") and f"{table}" in sql:
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
def test_what_failed_once_for_the_moment_is_inserted_again():
    errors = [OperationalError(1213, "Deadlock found when trying to get lock")]

    def deadlock(run, sql, params, many, context):
        if sql.startswith("INSERT") and "superoffice_hooks_delivery" in sql and errors:
            raise errors.pop()
        return run(sql, params, many, context)

    with connection.execute_wrapper(deadlock):
        assert post(body()).content == b"recorded\n"
    assert errors == []
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_rows_that_fit_no_packet_are_quarantined():
    error = OperationalError(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
    with failing("superoffice_hooks_event", error):
        assert post(body()).status_code == 200
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.event) == ("quarantined", None)
    assert "max_allowed_packet" in delivery.reason


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
    with mock.patch("superoffice_hooks.intake.ingest.parse", side_effect=ZeroDivisionError):
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
