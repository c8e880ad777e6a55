"""Both ways to write rows, and several deliveries at once: the same rows, whoever writes them."""

import re
from copy import deepcopy
from datetime import timedelta
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import (
    DatabaseError,
    DataError,
    OperationalError,
    connection,
    connections,
)
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.intake import group_commit, rows
from superoffice_hooks.intake import insert as insert_module
from superoffice_hooks.intake.deadline import Deadline
from superoffice_hooks.intake.insert import insert, is_possible
from superoffice_hooks.intake.rows import record, record_together
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode, post
from tests.intake.arrivals import arrival, new, together
from tests.intake.cases import RECORDED
from tests.payloads import IDS, PAYLOADS

MODELS: tuple[type[Model], ...] = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
GIVEN_BY_THE_DATABASE = {"id", "event_id", "twin_of_id"}  # but for an event's own event_id


def written() -> dict[str, list[dict[str, object]]]:
    """All rows of all tables, without the ids that the database gives."""
    found = {}
    for model in MODELS:
        names = [field.attname for field in model._meta.concrete_fields]
        given = GIVEN_BY_THE_DATABASE - ({"event_id"} if model is Event else set())
        kept = [name for name in names if name not in given]
        found[model.__name__] = sorted(
            ({name: value(row[name]) for name in kept} for row in model.objects.values(*kept)),
            key=repr,
        )
    return found


def value(stored):
    return bytes(stored) if isinstance(stored, memoryview) else stored


# What is recorded of the documented examples, and of bodies that are odd.
BODIES = {
    **{
        f"{name}-{number}": encode(wire)
        for number, (name, wire) in enumerate(zip(IDS, PAYLOADS, strict=True))
        if name != "test"
    },
    **{case.id: case.values[0] for case in RECORDED},
    "all kinds of values": encode(
        body(
            Values={"a": None, "b": 1.5, "c": [1, None], "d": {"e": ""}, "f": "null", "g": True},
            FieldValues={"person_id": 7, "big": 2**70, "small": -1e-7, "text": "\\x00 \x7f"},
            Changes=["æ", "a", 'q"', "\\", "%", "{}"],
            Own={"of": "the customer"},
        )
    ),
    "nothing but the key": encode(
        body(Changes=..., FieldValues=..., WebhookName=..., ContextIdentifier=..., Entity=...)
    ),
    "names without rows": encode(body(Changes=[], Values={}, FieldValues={})),
    "the largest numbers": encode(body(PrimaryKey=2**63 - 1, ChangedByAssociateId=-(2**63))),
    "a thousand names": encode(body(Changes=[f"field{n}" for n in range(1000)])),
}


@together
@pytest.mark.django_db
@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
def test_both_ways_write_the_same_rows(raw):
    ways = {}
    for is_fast in (True, False):
        with mock.patch.object(rows, "is_possible", lambda alias, is_fast=is_fast: is_fast):
            payload = parse(raw)
            delivery = record(arrival(raw), payload, payload.event_id or UUID(int=7))
            assert delivery.pk == Delivery.objects.get().pk
            assert delivery.event == Event.objects.get()
            ways[is_fast] = written()
            for model in reversed(MODELS):
                model.objects.all()._raw_delete("default")
    assert ways[True] == ways[False]
    assert len(ways[True]["Event"]) == len(ways[True]["Delivery"]) == 1


@together
@pytest.mark.django_db(transaction=True)
def test_what_is_returned_is_as_if_it_were_saved():
    raw = encode(body())
    payload = parse(raw)
    delivery = record(arrival(raw), payload, payload.event_id)
    stored = Delivery.objects.select_related("event").get()
    assert (delivery, delivery.event) == (stored, stored.event)
    assert not delivery._state.adding
    assert delivery._state.db == delivery.event._state.db == "default"
    assert not delivery.event._state.adding
    columns = [column.attname for column in Delivery._meta.concrete_fields]
    assert [value(getattr(delivery, name)) for name in columns] == [
        value(getattr(stored, name)) for name in columns
    ]
    delivery.event.refresh_from_db()
    assert delivery.event.changed_fields.count() == 3


@together
@pytest.mark.django_db(transaction=True)
def test_of_many_only_the_new_are_stored_and_all_rows_are_with_their_own():
    post(body(EventId="11111111-1111-1111-1111-111111111111", PrimaryKey=1))
    news = [
        new(PrimaryKey=2, Changes=["a"], Values={"person_id": 21}),
        new(EventId="11111111-1111-1111-1111-111111111111", PrimaryKey=1, Changes=["other"]),
        new(PrimaryKey=1),  # a twin of what was posted
        new(PrimaryKey=3, Changes=["b", "c"], Values={"person_id": 31, "x": None}),
        new(PrimaryKey=2, Changes=["a"], Values={"person_id": 21}),  # a twin of the one above
    ]
    stored = insert(news, "default", Deadline.after(9))
    sees_itself = connection.vendor == "sqlite"
    assert list(stored) == ([0, 2, 3, 4] if sees_itself else [0, 2, 3])
    assert Event.objects.count() == Delivery.objects.count() == len(stored) + 1
    if sees_itself:
        assert stored[4].event.twin_of == stored[0].event
    for place, names, values in (
        (0, ["a"], {"person_id": 21}),
        (2, ["name", "orgNr", "updated"], {}),
        (3, ["b", "c"], {"person_id": 31, "x": None}),
    ):
        event = Event.objects.get(pk=stored[place].event.pk)
        assert event.primary_key == news[place].payload.primary_key
        assert [row.name for row in event.changed_fields.all()] == names
        assert {row.name: row.value for row in event.deleted_values.all()} == values
        persons = event.related_records.filter(entity="person")
        assert [row.primary_key for row in persons] == [
            value for name, value in values.items() if name == "person_id"
        ]
        delivery = event.deliveries.get()
        assert (delivery.pk, delivery.reason) == (stored[place].pk, "a mark")
        assert bytes(delivery.body) == news[place].delivery["body"]
    twin = stored[2].event
    assert (twin.twin_of, twin.fingerprint) == (Event.objects.order_by("pk").first(), None)
    assert Event.objects.get(pk=twin.pk).twin_of == twin.twin_of


@together
@pytest.mark.django_db(transaction=True)
def test_the_same_key_twice_in_one_batch_is_stored_once():
    first, again = new(PrimaryKey=2), new(PrimaryKey=2)
    again.event.update(event_id=first.event["event_id"], fingerprint=uuid4())
    assert list(insert([first, again], "default", None)) == [0]
    assert Event.objects.count() == Delivery.objects.count() == 1


@together
@pytest.mark.django_db(transaction=True)
def test_a_copy_within_a_batch_is_a_duplicate_at_once_or_later():
    first = new(PrimaryKey=2)
    copy = deepcopy(first)
    copy.delivery["endpoint"] = "beta"
    stored = [delivery.outcome for delivery in insert([first, copy], "default", None).values()]
    assert stored == (["recorded", "duplicate"] if connection.vendor == "sqlite" else ["recorded"])
    assert Event.objects.count() == 1
    assert Delivery.objects.count() == len(stored)


@together
@pytest.mark.django_db(transaction=True)
def test_of_copies_within_a_batch_each_has_its_own_bytes():
    """However the others between are stored."""
    first, other = new(PrimaryKey=2), new(PrimaryKey=3, FieldValues={"name": "x" * 900})
    copies = [deepcopy(first), deepcopy(first)]
    for endpoint, copy in zip(("beta", "gamma"), copies, strict=True):
        copy.delivery["endpoint"] = endpoint
    batch = [copies[0], other, first, copies[1]]
    stored = insert(batch, "default", Deadline.after(9))
    assert list(stored) == ([0, 1, 2, 3] if connection.vendor == "sqlite" else [0, 1])
    for place, delivery in stored.items():
        row = Delivery.objects.get(pk=delivery.pk)
        assert (row.endpoint, row.body) == (
            batch[place].delivery["endpoint"],
            batch[place].delivery["body"],
        )
        assert row.event.primary_key == batch[place].payload.primary_key
    assert Event.objects.count() == 2


@together
@pytest.mark.django_db(transaction=True)
def test_exact_copies_are_stored_as_duplicates_beside_what_is_new():
    first = new(PrimaryKey=1, EventId="11111111-1111-1111-1111-111111111111")
    insert([first], "default", None)
    later = {"received_at": first.delivery["received_at"] + timedelta(seconds=1)}
    copy, elsewhere, other_bytes, itself = (deepcopy(first) for _ in range(4))
    copy.delivery.update(later)
    copy.event.update(later)
    elsewhere.delivery.update(endpoint="beta")
    other_bytes.event.update(later)
    other_bytes.delivery.update(later, body=b" " + first.delivery["body"])
    for news, kept in (
        ([new(PrimaryKey=2), copy], {0: "recorded", 1: "duplicate"}),
        ([elsewhere, new(PrimaryKey=3)], {0: "duplicate", 1: "recorded"}),
        ([other_bytes], {}),
        ([itself], {}),  # its first attempt was stored
        ([copy], {}),  # likewise
    ):
        stored = insert(news, "default", Deadline.after(9))
        assert {place: delivery.outcome for place, delivery in stored.items()} == kept
        for place, delivery in stored.items():
            [row] = Delivery.objects.filter(pk=delivery.pk)
            assert (row.outcome, row.endpoint) == (kept[place], news[place].delivery["endpoint"])
            assert (row.body, row.reason) == (news[place].delivery["body"], "a mark")
            assert row.event == delivery.event
            assert row.event.primary_key == news[place].payload.primary_key
    assert Event.objects.count() == 3
    assert Delivery.objects.count() == 5


@together
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", ["duplicate", "quarantined", "refused"])
def test_only_the_bytes_that_recorded_an_event_make_a_duplicate(outcome):
    first = new()
    [stored] = insert([first], "default", None).values()
    Delivery.objects.update(outcome=outcome)
    again = deepcopy(first)
    again.delivery["endpoint"] = "beta"
    assert insert([again], "default", None) == {}
    assert Delivery.objects.get() == stored


@together
@pytest.mark.django_db(transaction=True)
def test_a_duplicate_whose_answer_is_lost_is_stored_once(monkeypatch):
    raw = encode(body())
    post(raw)
    attempts = []

    def committed_but_lost(news, alias, deadline):
        attempts.append(insert(news, alias, deadline))
        raise OperationalError("the server has gone away")

    monkeypatch.setattr(group_commit, "insert", committed_but_lost)
    assert post(raw).content == b"duplicate\n"
    [[duplicate]] = [attempt.values() for attempt in attempts]
    assert Delivery.objects.get(outcome="duplicate") == duplicate


@together
@pytest.mark.django_db(transaction=True)
def test_a_value_that_the_database_refuses_leaves_nothing_of_all():
    bad = new(PrimaryKey=2**63 - 1)
    bad.event["primary_key"] = "no number"
    with pytest.raises((DatabaseError, ValueError)):
        insert([new(), bad], "default", None)
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nothing_together_is_nothing():
    assert record_together([], "", Deadline.after(1)) == []


def test_psycopg_2_is_written_by_the_orm(monkeypatch):
    if connection.vendor == "postgresql":
        assert is_possible("default")
        monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
        assert not is_possible("default")


# PostgreSQL: one message.

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own")


@pytest.fixture
def lasting(monkeypatch):
    """A connection that the site keeps for the next request."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    yield
    connection.close()


def statements(wire) -> list[str]:
    """What one post sends, but for the body's own words."""
    with CaptureQueriesContext(connection) as queries:
        assert post(wire).content == b"recorded\n"
    return [query["sql"] for query in queries]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_one_round_trip_once_the_statement_is_known(spool, lasting):
    prepare, first = statements(body(PrimaryKey=1))
    [second] = statements(body(PrimaryKey=2))
    # Nothing may wait for longer than it is given, the preparation too.
    for message in (prepare, first, second):
        assert message.startswith("SET LOCAL statement_timeout = ")
        assert ";SET LOCAL lock_timeout = 200;" in message
    assert ";PREPARE superoffice_hooks_insert" in prepare
    assert ";EXECUTE superoffice_hooks_insert" in first


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_text_of_the_statement_holds_nothing_of_the_body(lasting):
    sent = []

    def note(run, sql, params, many, context):
        sent.append(sql)
        return run(sql, params, many, context)

    with connection.execute_wrapper(note):
        post(body(FieldValues={"name": "Fjordbygg AS"}))
        post(body(FieldValues={"name": "Fjordbygg AS"}, PrimaryKey=2))
    assert len(sent) == 3
    assert "Fjordbygg" not in "".join(sent)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_statement_that_somebody_deallocates_is_prepared_anew(lasting):
    statements(body(PrimaryKey=1))
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert post(body(PrimaryKey=2)).content == b"recorded\n"
    prepare, _ = statements(body(PrimaryKey=3))
    assert "PREPARE" in prepare
    assert Event.objects.count() == 3


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_statement_that_is_known_though_nobody_remembers_is_used(lasting):
    statements(body(PrimaryKey=1))
    insert_module._knowing.discard(connection.connection)
    prepare, *_, message = statements(body(PrimaryKey=2))
    assert "PREPARE" in prepare
    assert "EXECUTE" in message


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "value"), [("DISABLE_SERVER_SIDE_CURSORS", True), ("CONN_MAX_AGE", 0)]
)
def test_where_no_session_lasts_nothing_is_prepared(lasting, monkeypatch, name, value):
    monkeypatch.setitem(connection.settings_dict, name, value)
    [message] = statements(body(PrimaryKey=1))
    assert ";WITH given AS" in message


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_where_the_server_binds_the_orm_writes(monkeypatch):
    options = connection.settings_dict["OPTIONS"] | {"server_side_binding": True}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    try:
        assert len(statements(body())) >= 3
    finally:
        connection.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_what_the_site_has_begun_is_the_sites_to_end():
    Delivery.objects.count()
    connection.set_autocommit(False)
    try:
        assert list(insert([new()], "default", None)) == [0]
        connection.rollback()
    finally:
        connection.set_autocommit(True)
    assert not Event.objects.exists()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_preparing_waits_for_a_lock_no_longer_than_it_may(lasting):
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE superoffice_hooks_event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OperationalError):
            insert([new()], "default", Deadline.after(5))
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            assert cursor.fetchone() == (0,)
        other.rollback()
    finally:
        other.close()
    assert list(insert([new()], "default", Deadline.after(5))) == [0]


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("analysed", ["never", "empty", "with a few rows"])
def test_no_plan_reads_more_than_what_it_looks_up(lasting, analysed):
    """A plan is kept while the tables grow, whatever they held when it was made."""
    tables = ", ".join(model._meta.db_table for model in MODELS)
    with connection.cursor() as cursor:
        if analysed == "empty":
            cursor.execute(f"ANALYZE {tables}")
        [name] = re.findall(r"EXECUTE (\w+)", statements(body(PrimaryKey=1))[1])
        if analysed == "with a few rows":
            for number in range(2, 50):
                post(body(PrimaryKey=number))
            cursor.execute(f"ANALYZE {tables}")
        cursor.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"EXPLAIN EXECUTE {name} ('[]')")
        text = "\n".join(line for (line,) in cursor.fetchall())
    assert not re.findall("Seq Scan|Bitmap", text)
    scan = r"Index Scan using (\w+) on .*\n +Index Cond: \((\w+) = \w+\.(\w+)\)"
    looked_up = re.findall(scan, text)
    assert len(looked_up) == text.count("Index Scan") == text.count("Index Cond")
    assert {index.removeprefix("superoffice_hooks_"): pair for index, *pair in looked_up} == {
        "event_fingerprint_key": ["fingerprint", "fingerprint"],
        "event_key": ["event_id", "event_id"],
        "delivery_event_id_f1dd3bd8": ["event_id", "known"],
        "so_delivery_time": ["received_at", "received_at"],
    }


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_copy_is_one_round_trip(lasting):
    wire = body()
    post(wire)
    with CaptureQueriesContext(connection) as queries:
        assert post(wire).content == b"duplicate\n"
    assert len(queries) == 1


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_message_that_fails_leaves_a_connection_that_works(lasting):
    post(body(PrimaryKey=1))
    session = connection.connection
    news = [new()]
    news[0].event["name"] = "x" * 300
    with pytest.raises(DataError):
        insert(news, "default", Deadline.after(9))
    assert post(body(PrimaryKey=2)).content == b"recorded\n"
    assert connection.connection is session
    assert Event.objects.count() == Delivery.objects.count() == 2
