"""Quarantined deliveries, processed again."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from unittest import mock

import pytest
from django.db import DataError, OperationalError, connection, connections, transaction

from superoffice_hooks.intake import settle
from superoffice_hooks.intake.reprocess import ReprocessError, reprocess
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode, inserts, post
from tests.intake.cases import QUARANTINED, RECORDED
from tests.intake.commits import losing_the_answer_to_a_commit

ACME = "a-secret-of-acme-0123456789abcdefghij"
URL = "/superoffice/webhook/acme/"
PROCESSED = r"Processed again at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by olga; before: "
ARRIVED = datetime(2026, 3, 1, 12, 30, 15, 123456, UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def contexts(settings):
    """Choose which tenants the endpoint of Acme takes, None for any."""

    def contexts(*names, secrets=(ACME,)):
        options = {"SECRETS": list(secrets), "CONTEXTS": list(names)}
        settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": options}}

    contexts("Another")
    return contexts


@pytest.fixture
def signals():
    sent = []

    def receiver(event, delivery, **kwargs):
        in_transaction = transaction.get_connection().in_atomic_block
        sent.append((event.pk, delivery.pk, bytes(delivery.body), in_transaction))

    event_recorded.connect(receiver)
    yield sent
    event_recorded.disconnect(receiver)


def quarantined(raw, **headers):
    """Post a body to Acme, and return the delivery, which arrived some time ago."""
    raw = encode(raw) if isinstance(raw, dict) else raw
    assert post(raw, url=URL, secret=ACME, **headers).content.startswith(b"quarantined")
    delivery = Delivery.objects.latest("id")
    Delivery.objects.filter(pk=delivery.pk).update(received_at=ARRIVED)
    return delivery


def unusable(raw):
    """Post a body while the parser knows it not, as before an upgrade."""
    refuse = mock.patch.object(settle, "parse", side_effect=settle.PayloadError("Not yet."))
    with refuse:
        return quarantined(raw)


def evidence(delivery):
    """What arrived, which nothing may change."""
    columns = ("endpoint", "received_at", "headers", "remote_address", "signature", "key_id")
    row = Delivery.objects.filter(pk=delivery.pk)
    return [bytes(row.get().body), *row.values_list(*columns)]


@pytest.mark.django_db(transaction=True)
def test_a_corrected_setting_records_the_event_as_of_its_arrival(contexts, signals):
    wire = body(Values={"contact_id": 7})
    delivery = quarantined(wire, X_SuperOffice_Retry="2")
    before = evidence(delivery)
    assert not Event.objects.exists()

    contexts("Cust24680")
    returned = reprocess(delivery, "olga")

    event, stored = Event.objects.get(), Delivery.objects.get()
    assert (stored.pk, stored.outcome, stored.event) == (delivery.pk, "recorded", event)
    assert re.fullmatch(PROCESSED + re.escape(delivery.reason), stored.reason)
    assert "a tenant that this endpoint does not take" in stored.reason
    assert (returned.outcome, returned.reason, returned.event) == (
        stored.outcome,
        stored.reason,
        event,
    )
    assert evidence(delivery) == before
    assert event.received_at == ARRIVED
    assert event.occurred_at == parse(encode(wire)).occurred_at
    assert [row.name for row in ChangedField.objects.all()] == wire["Changes"]
    assert [(row.name, row.value) for row in DeletedValue.objects.all()] == [("contact_id", 7)]
    # After its transaction, once, with the bytes.
    assert signals == [(event.pk, delivery.pk, encode(wire), False)]
    # What SuperOffice sends again repeats it.
    assert post(wire, url=URL, secret=ACME).content == b"duplicate\n"


@pytest.mark.parametrize(("raw", "flags"), RECORDED[::7])
def test_a_body_that_the_parser_has_learnt_is_stored_as_if_it_had_arrived_now(
    contexts, raw, flags, settings
):
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": [ACME]}}}
    reprocess(unusable(raw), "olga")
    event = Event.objects.get()
    again = parse(raw)
    assert set(event.flags) == flags
    for field in ("name", "primary_key", "occurred_at", "field_values", "properties"):
        assert getattr(event, field) == getattr(again, field)
    assert [row.name for row in event.changed_fields.all()] == list(again.changes)
    assert post(raw, url=URL, secret=ACME).content == b"duplicate\n"


def test_a_body_without_event_id_takes_the_header_that_came_with_it(contexts):
    event_id = "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    delivery = quarantined(body(EventId=...), X_SuperOffice_EventId=event_id)
    contexts("Cust24680")
    reprocess(delivery, "olga")
    assert str(Event.objects.get().event_id) == event_id


@pytest.mark.parametrize(("raw", "reason"), QUARANTINED[::5])
def test_what_is_still_unusable_stays_quarantined_with_the_same_reason(contexts, raw, reason):
    delivery = quarantined(raw)
    returned = reprocess(delivery, "olga")
    stored = Delivery.objects.get()
    assert (returned.outcome, stored.outcome) == ("quarantined", "quarantined")
    assert returned.reason == stored.reason == delivery.reason
    assert reason in stored.reason
    assert not Event.objects.exists()


def test_what_is_unusable_for_another_reason_says_so(contexts, signals):
    delivery = unusable(body())
    assert delivery.reason == "Not yet."
    reprocess(delivery, "olga")
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.event) == ("quarantined", None)
    assert stored.reason.startswith("ContextIdentifier is missing, or names a tenant")
    assert signals == []


def test_a_repetition_of_the_same_bytes_is_a_duplicate(contexts, signals):
    wire = body()
    first, second = quarantined(wire), quarantined(wire)
    contexts("Cust24680")
    reprocess(first, "olga")
    reprocess(second, "olga")
    event, stored = Event.objects.get(), Delivery.objects.get(pk=second.pk)
    assert (stored.outcome, stored.event) == ("duplicate", event)
    assert re.match(PROCESSED, stored.reason)
    assert len(signals) == 1


def test_a_repetition_of_the_same_moment_is_a_duplicate_in_its_own_row(contexts):
    # Both arrived in the same microsecond, and yet neither is the other.
    wire = body()
    deliveries = [quarantined(wire), quarantined(wire)]
    contexts("Cust24680")
    for delivery in deliveries:
        reprocess(delivery, "olga")
    outcomes = Delivery.objects.order_by("id").values_list("outcome", "received_at")
    assert list(outcomes) == [("recorded", ARRIVED), ("duplicate", ARRIVED)]


def test_the_same_key_in_other_bytes_stays_quarantined_beside_the_event(contexts):
    wire = body()
    late = quarantined(wire | {"ChangedByAssociateId": 99})
    contexts("Cust24680")
    assert post(wire, url=URL, secret=ACME).content == b"recorded\n"
    reprocess(late, "olga")
    stored = Delivery.objects.get(pk=late.pk)
    assert (stored.outcome, stored.event) == ("quarantined", Event.objects.get())
    assert "came before in other bytes" in stored.reason
    assert Event.objects.get().changed_by_associate_id == wire["ChangedByAssociateId"]


def test_a_test_event_is_a_test(contexts, signals):
    delivery = unusable(body(Event="test"))
    reprocess(delivery, "olga")
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.event, signals) == ("test", None, [])
    assert re.fullmatch(PROCESSED + "Not yet.", stored.reason)


@pytest.mark.parametrize("outcome", ["recorded", "duplicate", "test", "refused"])
def test_what_is_not_quarantined_is_left_as_it_is(contexts, signals, outcome):
    delivery = quarantined(body())
    contexts("Cust24680")
    Delivery.objects.update(outcome=outcome)
    assert reprocess(delivery, "olga").outcome == outcome
    assert (Delivery.objects.get().reason, signals) == (delivery.reason, [])
    assert not Event.objects.exists()


def test_the_signature_is_not_asked_again(contexts):
    delivery = quarantined(body())
    contexts("Cust24680", secrets=["another-secret-0123456789abcdefghijkl"])
    assert reprocess(delivery, "olga").outcome == "recorded"
    assert Delivery.objects.get().signature == delivery.signature != ""


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({}, "There is no endpoint 'acme' any more."),
        ({"ENDPOINTS": {"acme": {"SECRETS": []}}}, "The endpoint 'acme' has no secret any more"),
        ({"ENDPOINTS": {"acme": {"SECRETS": [" "]}}}, "The endpoint 'acme' has no secret any more"),
    ],
)
def test_an_endpoint_that_is_gone_is_an_error_and_changes_nothing(
    contexts, settings, setting, error
):
    delivery = quarantined(body())
    settings.SUPEROFFICE_HOOKS = setting
    with pytest.raises(ReprocessError, match=error):
        reprocess(delivery, "olga")
    assert (Delivery.objects.get().outcome, Delivery.objects.get().reason) == (
        "quarantined",
        delivery.reason,
    )


# When the database does not take it.


def failing(statement, table, *errors):
    """Let the first such statements fail, one with each error."""
    errors = list(errors)

    def execute(run, sql, params, many, context):
        if sql.startswith(statement) and table in sql and errors:
            raise errors.pop(0)
        return run(sql, params, many, context)

    return connection.execute_wrapper(execute)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT", "superoffice_hooks_event"),
        ("INSERT", "superoffice_hooks_changedfield"),
        ("UPDATE", "superoffice_hooks_delivery"),
    ],
)
def test_when_it_cannot_be_stored_nothing_is_changed(contexts, signals, statement, table):
    delivery = quarantined(body())
    contexts("Cust24680")
    errors = [OperationalError("disk full")] * 3
    with failing(statement, table, *errors), pytest.raises(OperationalError):
        reprocess(delivery, "olga")
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.reason, signals) == ("quarantined", delivery.reason, [])
    assert not Event.objects.exists()
    # What fails once for the moment is tried again.
    with failing(statement, table, OperationalError(1213, "Deadlock found")):
        assert reprocess(delivery, "olga").outcome == "recorded"
    assert len(signals) == 1


@pytest.mark.django_db(transaction=True)
def test_what_brings_no_event_is_tried_again_too(contexts):
    delivery = quarantined(body())
    contexts("Cust24680")
    post(bytes(delivery.body), url=URL, secret=ACME)
    with failing("UPDATE", "superoffice_hooks_delivery", OperationalError(1213, "Deadlock")):
        assert reprocess(delivery, "olga").outcome == "duplicate"
    assert Delivery.objects.get(pk=delivery.pk).outcome == "duplicate"


@pytest.mark.django_db(transaction=True)
def test_values_that_the_database_refuses_stay_quarantined_with_that_reason(contexts):
    delivery = quarantined(body())
    contexts("Cust24680")
    with failing("INSERT", "superoffice_hooks_changedfield", DataError("no")):
        reprocess(delivery, "olga")
    stored = Delivery.objects.get()
    assert stored.reason == "The database refuses the values (DataError)."
    assert (stored.outcome, stored.event, Event.objects.count()) == ("quarantined", None, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("already", [False, True], ids=["recorded", "duplicate"])
def test_a_commit_whose_answer_is_lost_is_one_event_and_one_signal(contexts, signals, already):
    wire = body()
    delivery = quarantined(wire)
    contexts("Cust24680")
    if already:
        post(wire, url=URL, secret=ACME)
    with losing_the_answer_to_a_commit():
        returned = reprocess(delivery, "olga")
    stored = Delivery.objects.get(pk=delivery.pk)
    assert stored.outcome == returned.outcome == ("duplicate" if already else "recorded")
    assert re.fullmatch(PROCESSED + re.escape(delivery.reason), stored.reason)
    assert [pk for pk, *_ in signals] == [Event.objects.get().pk]


@pytest.mark.django_db(transaction=True)
def test_nobody_elses_transaction_can_take_it_back(contexts):
    delivery = quarantined(body())
    contexts("Cust24680")
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        reprocess(delivery, "olga")
    assert Delivery.objects.get().outcome == "quarantined"


@pytest.mark.django_db(transaction=True)
def test_what_somebody_else_settles_meanwhile_is_left_to_them(contexts, signals):
    delivery = quarantined(body())
    contexts("Cust24680")

    def overtaken(arrival, endpoint, row):
        if "by olga" in row.heading:
            assert reprocess(delivery, "kari").outcome == "recorded"
        return settle.settle(arrival, endpoint, row)

    with mock.patch("superoffice_hooks.intake.reprocess.settle", overtaken):
        returned = reprocess(delivery, "olga")
    assert returned.outcome == "recorded"
    assert "by kari; before:" in returned.reason
    assert len(signals) == Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", ["recorded", "test"])
def test_two_at_once_process_a_delivery_once(contexts, signals, outcome):
    number, workers = 10, 8
    wires = [body(PrimaryKey=key) for key in range(number)]
    if outcome == "test":
        deliveries = [unusable(wire | {"Event": "test"}) for wire in wires]
    else:
        deliveries = [quarantined(wire) for wire in wires]
    contexts("Cust24680")
    barrier = Barrier(workers)

    def process(worker):
        try:
            outcomes = []
            for delivery in deliveries:
                barrier.wait(timeout=60)
                outcomes.append(reprocess(delivery, f"user {worker}").outcome)
            return outcomes
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        returned = [one for outcomes in pool.map(process, range(workers)) for one in outcomes]
    assert returned == [outcome] * number * workers
    assert Delivery.objects.count() == number
    assert {delivery.outcome for delivery in Delivery.objects.all()} == {outcome}
    assert Event.objects.count() == len(signals) == (number if outcome == "recorded" else 0)
    for delivery in Delivery.objects.all():
        assert delivery.reason.count("Processed again") == 1


@pytest.mark.django_db(transaction=True)
def test_superoffices_own_retry_at_the_same_moment_is_the_same_event(contexts, signals):
    wires = [body(PrimaryKey=key) for key in range(20)]
    deliveries = [quarantined(wire) for wire in wires]
    contexts("Cust24680")
    barrier = Barrier(2)

    def at_once(work):
        try:
            for item in zip(wires, deliveries, strict=True):
                barrier.wait(timeout=60)
                work(*item)
        finally:
            connections.close_all()

    def arrive(wire, delivery):
        assert post(wire, url=URL, secret=ACME).status_code == 200

    def process(wire, delivery):
        assert reprocess(delivery, "olga").outcome in ("recorded", "duplicate")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(at_once, [arrive, process]))
    assert Event.objects.count() == len(signals) == len(wires)
    for event in Event.objects.all():
        outcomes = sorted(delivery.outcome for delivery in event.deliveries.all())
        assert outcomes == ["duplicate", "recorded"]


def test_the_row_is_locked_before_anything_is_written(contexts):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no row locks: its transactions begin IMMEDIATE")
    delivery = quarantined(body())
    contexts("Cust24680")
    statements = []

    def note(run, sql, params, many, context):
        statements.append(sql)
        return run(sql, params, many, context)

    with connection.execute_wrapper(note):
        reprocess(delivery, "olga")
    locked = next(number for number, sql in enumerate(statements) if "FOR UPDATE" in sql)
    written = next(number for number, sql in enumerate(statements) if inserts(sql))
    assert locked < written


def test_the_moment_of_processing_is_todays(contexts):
    delivery = quarantined(body())
    contexts("Cust24680")
    said = re.search(r"at (\S+) by", reprocess(delivery, "olga").reason)[1]
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(said) < timedelta(minutes=1)
