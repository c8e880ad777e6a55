"""Both ways to write rows, and several deliveries at once: the same rows, whoever writes them."""

import gzip
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
)
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.intake import group_commit, rows
from superoffice_hooks.intake import insert as insert_module
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import Deadline
from superoffice_hooks.intake.group_commit import MOST, GroupCommit
from superoffice_hooks.intake.insert import LARGE, NewEvent, insert, is_possible
from superoffice_hooks.intake.rows import record, record_together
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode, post
from tests.intake.cases import RECORDED
from tests.payloads import IDS, PAYLOADS

MODELS: tuple[type[Model], ...] = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
GIVEN_BY_THE_DATABASE = {"id", "event_id", "twin_of_id"}

together = pytest.mark.skipif(
    connection.vendor == "mysql", reason="MariaDB is written by the ORM alone"
)


def arrival(raw: bytes) -> Arrival:
    return Arrival(
        endpoint="acme",
        received_at=datetime(2026, 3, 2, 9, 15, 28, 123456, tzinfo=UTC),
        body=raw,
        headers={"X-SuperOffice-Event": "æøå \N{SNOWMAN} \\ ' \" %s"},
        remote_address="2001:db8::1",
        signature="bm8gc2lnbmF0dXJl",
        key_id="0123abcd",
    )


def new(**changes) -> NewEvent:
    raw = encode(body(**changes))
    payload = parse(raw)
    return rows._new_event(arrival(raw), payload, payload.event_id or uuid4(), "a mark")


def written() -> dict[str, list[dict[str, object]]]:
    """All rows of all tables, without the ids that the database gives."""
    found = {}
    for model in MODELS:
        names = [field.attname for field in model._meta.concrete_fields]
        kept = [name for name in names if model is Event or name not in GIVEN_BY_THE_DATABASE]
        kept = [name for name in kept if name not in ("id", "twin_of_id")]
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
    assert list(stored) == [0, 2, 3]
    assert Event.objects.count() == Delivery.objects.count() == 4
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
        assert message.startswith("BEGIN;SET LOCAL statement_timeout = ")
        assert message.endswith(";COMMIT")
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
def test_a_plan_made_for_empty_tables_uses_the_indexes(lasting):
    statements(body(PrimaryKey=1))
    [name] = re.findall(r"EXECUTE (\w+)", statements(body(PrimaryKey=2))[0])
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"EXPLAIN EXECUTE {name} ('[]')")
        text = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in text
    assert "superoffice_hooks_event_fingerprint" in text


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


# Group commit: the queue, without a database.


@pytest.fixture
def group(monkeypatch):
    """A queue whose writes are noted, and wait for ``go`` when ``hold`` is set."""
    group = GroupCommit("default")
    group.written, group.hold, group.go, group.busy = (
        [],
        False,
        threading.Event(),
        threading.Event(),
    )
    group.fails = None

    def write(news, alias, deadline):
        group.written.append([item.name for item in news])
        if group.hold:
            group.hold = False
            group.busy.set()
            assert group.go.wait(30)
        if group.fails:
            raise group.fails
        return {place: item.name for place, item in enumerate(news) if item.is_new}

    monkeypatch.setattr(group_commit, "insert", write)
    return group


class Item:
    def __init__(self, name, is_new=True):
        self.name, self.is_new = name, is_new


class Caller(threading.Thread):
    """Inserts an item in a thread of its own, and keeps what came of it."""

    def __init__(self, group, name, is_new=True, deadline=None):
        super().__init__()
        self.group, self.item, self.deadline = group, Item(name, is_new), deadline
        self.result = None
        self.start()

    def run(self):
        try:
            self.result = self.group.insert(self.item, self.deadline)
        except BaseException as error:
            self.result = error


def held(group, names, **options):
    """One caller at the database, and these waiting behind it in this order."""
    group.hold = True
    first = Caller(group, "first")
    assert group.busy.wait(30)
    waiting = []
    for name in names:
        waiting.append(Caller(group, name, **options))
        while len(group._queue) < len(waiting):
            pass
    return first, waiting


def finish(*callers):
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()


def test_who_comes_alone_writes_alone(group):
    assert group.insert(Item("a"), None) == "a"
    assert group.insert(Item("b", is_new=False), None) is None
    assert group.written == [["a"], ["b"]]


def test_those_who_wait_are_written_together_by_the_next(group):
    first, waiting = held(group, ["a", "b", "c"])
    waiting[1].item.is_new = False
    group.go.set()
    finish(first, *waiting)
    assert group.written == [["first"], ["a", "b", "c"]]
    assert [caller.result for caller in waiting] == ["a", None, "c"]
    assert group.insert(Item("later"), None)


def test_no_more_than_so_many_at_once(group):
    first, waiting = held(group, range(MOST + 2))
    group.go.set()
    finish(first, *waiting)
    assert [len(batch) for batch in group.written] == [1, MOST, 2]
    assert [caller.result for caller in waiting] == list(range(MOST + 2))


@pytest.mark.parametrize(
    ("error", "kind"),
    [(OperationalError("away"), OperationalError), (DataError("no"), DatabaseError)],
    ids=["away", "refused"],
)
def test_what_fails_fails_for_all_and_the_next_go_on(group, error, kind):
    group.fails = error
    first, waiting = held(group, ["a", "b"])
    group.go.set()
    finish(first, *waiting)
    for caller in (first, *waiting):
        assert type(caller.result) is kind
        assert caller.result.__cause__ is error
    group.fails = None
    assert group.insert(Item("later"), None)


def test_a_mistake_of_ours_is_told_as_a_failure_to_store(group):
    group.fails = ZeroDivisionError()
    with pytest.raises(DatabaseError):
        group.insert(Item("a"), None)


def test_who_is_interrupted_leaves_nobody_waiting(group):
    group.fails = KeyboardInterrupt()
    first, waiting = held(group, ["a"])
    group.fails = None
    group.go.set()
    finish(first, *waiting)
    assert waiting[0].result == "a"
    group.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        group.insert(Item("b"), None)
    group.fails = None
    assert group.insert(Item("c"), None)


def test_who_still_waits_at_half_time_goes_alone(group):
    first, [late] = held(group, ["late"], deadline=Deadline.after(0.1))
    finish(late)
    assert type(late.result) is DatabaseError
    group.go.set()
    finish(first)
    assert first.result == "first"
    assert group.written == [["first"]]
    assert group.insert(Item("later"), None)


def test_who_has_no_deadline_does_not_wait_for_ever_either(group, monkeypatch):
    monkeypatch.setattr(group_commit, "TOGETHER", 0.05)
    first, [late] = held(group, ["late"])
    finish(late)
    assert type(late.result) is DatabaseError
    group.go.set()
    finish(first)


@pytest.mark.parametrize("seconds", [0.1, None])
def test_who_is_being_written_waits_for_the_end_or_its_deadline(group, monkeypatch, seconds):
    monkeypatch.setattr(group_commit, "GRACE", 0)
    first, _ = held(group, [])
    group.go.set()
    finish(first)
    group.go.clear()
    deadline = None if seconds is None else Deadline.after(seconds)
    mine = group_commit._Waiting(Item("mine"), deadline)
    mine.soon = Deadline.after(0.05)
    if deadline is None:
        threading.Timer(0.2, mine.woken.set).start()
        group._wait(mine)
    else:
        with pytest.raises(OperationalError):
            group._wait(mine)


def test_whose_turn_comes_while_it_gives_up_takes_it(group):
    """The turn is given between the end of the wait and the look at the queue."""
    mine = group_commit._Waiting(Item("mine"), Deadline.after(-1))
    group._queue, group._is_led, mine.leads = [mine], True, True
    mine.woken.wait = lambda timeout: bool(mine.woken.is_set()) or mine.woken.set()
    group._wait(mine)
    assert group._queue == [mine]


@pytest.mark.parametrize("leads", [False, True], ids=["waiting", "about to write"])
def test_who_is_interrupted_before_it_writes_gives_way(group, monkeypatch, leads):
    def interrupt(mine):
        mine.leads = leads
        raise KeyboardInterrupt

    group._is_led = True
    monkeypatch.setattr(group, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        group.insert(Item("interrupted"), None)
    assert group._queue == []
    group._is_led = group._is_led and not leads
    if leads:
        assert group.insert(Item("next"), None) == "next"


def test_a_child_that_is_forked_while_somebody_writes_writes_itself(group):
    group_commit.group_of("default")._is_led = True
    code = os.fork()
    if code == 0:
        os._exit(0 if not group_commit.group_of("default")._is_led else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(code, 0)[1]) == 0
    group_commit.group_of("default")._is_led = False


def test_each_schema_has_its_own_queue(monkeypatch):
    ours = group_commit.group_of("default")
    monkeypatch.setattr(connections["default"], "schema_name", "tenant", raising=False)
    theirs = group_commit.group_of("default")
    assert theirs is not ours
    assert theirs is group_commit.group_of("default")


def test_the_one_with_the_most_time_writes_for_the_others(group):
    times = {"little": 5.0, "much": 60.0, "some": 30.0}
    group.hold = True
    first = Caller(group, "first")
    assert group.busy.wait(30)
    waiting = []
    for name, seconds in times.items():
        waiting.append(Caller(group, name, deadline=Deadline.after(seconds)))
        while len(group._queue) < len(waiting):
            pass
    deadlines = []
    write = group_commit.insert

    def note(news, alias, deadline):
        deadlines.append(deadline.remaining)
        return write(news, alias, deadline)

    with mock.patch.object(group_commit, "insert", note):
        group.go.set()
        finish(first, *waiting)
    assert group.written[1] == ["little", "much", "some"]
    assert 20 < deadlines[-1] <= 30


def test_who_is_interrupted_while_it_takes_the_batch_leaves_nobody_waiting(group):
    class Interrupting:
        """A lock that is interrupted the second time: where the batch is taken."""

        def __init__(self):
            self.lock, self.entered = threading.Lock(), 0

        def __enter__(self):
            self.entered += 1
            if self.entered == 2:
                raise KeyboardInterrupt
            return self.lock.__enter__()

        def __exit__(self, *error):
            return self.lock.__exit__(*error)

    group._lock = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        group.insert(Item("interrupted"), None)
    assert (group._queue, group._is_led) == ([], False)
    assert group.insert(Item("next"), None) == "next"


@together
@pytest.mark.django_db(transaction=True)
def test_deliveries_at_the_same_moment_share_a_transaction(monkeypatch):
    sizes, write = [], group_commit.insert

    def insert_slowly(news, alias, deadline):
        sizes.append(len(news))
        if len(sizes) == 1:
            assert all_wait.wait(30)
        return write(news, alias, deadline)

    all_wait = threading.Event()
    monkeypatch.setattr(group_commit, "insert", insert_slowly)
    answers = []

    def deliver():
        try:
            answers.append(post(body(PrimaryKey=threading.get_ident())).content)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=deliver) for _ in range(6)]
    for thread in threads:
        thread.start()
    while len(group_commit.group_of("default")._queue) < 5:
        pass
    all_wait.set()
    for thread in threads:
        thread.join(30)
    assert answers == [b"recorded\n"] * 6
    assert sizes == [1, 5]
    assert Event.objects.count() == Delivery.objects.count() == 6
    assert ChangedField.objects.count() == 18


@together
@pytest.mark.django_db(transaction=True)
def test_one_that_the_database_refuses_costs_the_others_nothing(monkeypatch):
    write = group_commit.insert

    def refuse(news, alias, deadline):
        if any(item.payload.primary_key == 13 for item in news):
            raise DataError("out of range")
        return write(news, alias, deadline)

    monkeypatch.setattr(group_commit, "insert", refuse)
    held_back = threading.Barrier(4)

    def deliver(key):
        try:
            held_back.wait(30)
            return post(body(PrimaryKey=key)).content
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(deliver, (11, 12, 13, 14)))
    assert answers == [b"recorded\n"] * 4
    assert Event.objects.count() == Delivery.objects.count() == 4


@together
@pytest.mark.django_db(transaction=True)
def test_what_is_like_another_of_its_batch_that_turns_out_old_is_stored(monkeypatch):
    old = body(PrimaryKey=1, WebhookName="First")
    post(old)
    Event.objects.update(fingerprint=uuid4())  # it told something else
    wire = old | {"EventId": str(uuid4()), "WebhookName": "Second"}
    write = group_commit.insert

    def with_the_old(news, alias, deadline):
        monkeypatch.setattr(group_commit, "insert", write)
        payload = parse(encode(old))
        both = [rows._new_event(arrival(encode(old)), payload, payload.event_id), *news]
        return {place - 1: stored for place, stored in write(both, alias, deadline).items()}

    monkeypatch.setattr(group_commit, "insert", with_the_old)
    assert post(wire).content == b"recorded\n"
    assert Event.objects.get(webhook_name="Second").twin_of is None


@together
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "level"),
    [(IntegrityError("no"), "INFO"), (ProgrammingError("permission denied"), "WARNING")],
)
def test_what_never_works_together_is_told_louder(monkeypatch, caplog, error, level):
    caplog.set_level("INFO", "superoffice_hooks.intake")
    monkeypatch.setattr(group_commit, "insert", mock.Mock(side_effect=error))
    assert post(body()).content == b"recorded\n"
    [record] = [each for each in caplog.records if "together" in each.message]
    assert record.levelname == level


@together
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "raw",
    [
        encode(body(FieldValues={"text": "x" * LARGE})),
        gzip.compress(encode(body(FieldValues={"text": "x" * LARGE}))),
    ],
    ids=["large", "packed"],
)
def test_what_is_large_is_written_alone(monkeypatch, raw):
    monkeypatch.setattr(group_commit, "insert", mock.Mock(side_effect=AssertionError))
    assert post(raw).content == b"recorded\n"
    payload = parse(raw)
    assert record_together([(arrival(raw), payload, uuid4())], "", Deadline.after(9)) == [None]


@together
@pytest.mark.django_db(transaction=True)
def test_who_has_begun_a_transaction_writes_for_nobody_else(group, monkeypatch):
    """Others would be told that they are stored, and it may be taken back."""
    monkeypatch.undo()
    waiting, leads = threading.Event(), []

    def insert_and_note(news, alias, deadline):
        leads.append(threading.get_ident())
        return insert(news, alias, deadline)

    monkeypatch.setattr(group_commit, "insert", insert_and_note)

    def deliver_and_take_back():
        try:
            Delivery.objects.count()
            connections["default"].set_autocommit(False)
            post(body(PrimaryKey=1))
            waiting.set()
            connections["default"].rollback()
        finally:
            connections.close_all()

    thread = threading.Thread(target=deliver_and_take_back)
    thread.start()
    assert waiting.wait(30)
    thread.join(30)
    assert leads == []
    assert post(body(PrimaryKey=2)).content == b"recorded\n"
    assert leads == [threading.get_ident()]
    assert Event.objects.filter(primary_key=2).exists()


@together
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("seconds", "is_spooled"), [(0.05, True), (9.0, False)], ids=["too late", "in time"]
)
def test_who_has_time_left_is_tried_alone(settings, spool, monkeypatch, seconds, is_spooled):
    def wait_in_vain(news, alias, deadline):
        time.sleep(0.1)
        raise OperationalError("canceling statement due to lock timeout")

    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"STORE_TIMEOUT": seconds}
    monkeypatch.setattr(rows, "AT_ONCE", 0.01)
    monkeypatch.setattr(group_commit, "insert", wait_in_vain)
    answer = post(body()).content
    assert answer == (b"spooled\n" if is_spooled else b"recorded\n")


@together
@pytest.mark.django_db(transaction=True)
def test_who_was_not_written_so_far_is_told_quietly(monkeypatch, caplog):
    caplog.set_level("INFO", "superoffice_hooks.intake")
    late = mock.Mock(side_effect=DatabaseError("Nobody has written it so far."))
    monkeypatch.setattr(GroupCommit, "insert", late)
    assert post(body()).content == b"recorded\n"
    [record] = [each for each in caplog.records if "together" in each.message]
    assert record.levelname == "INFO"


@together
@pytest.mark.django_db
def test_a_value_that_is_refused_within_a_sites_test_is_quarantined(monkeypatch):
    refused = mock.Mock(side_effect=DataError("out of range"))
    monkeypatch.setattr(rows, "insert", refused)
    monkeypatch.setattr(rows, "_insert", refused)
    assert post(body()).content.startswith(b"quarantined: The database refuses the values")
