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
