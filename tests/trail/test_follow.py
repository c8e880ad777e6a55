"""Following the trail: each event once, whatever order the transactions commit in."""

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from contextlib import ExitStack, closing, contextmanager

import pytest
from django.db import connection, connections, transaction
from django.db.models import Max
from django.db.transaction import TransactionManagementError

from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.trail import follow as module
from superoffice_hooks.trail.follow import UnsettledError, follow, settled
from superoffice_hooks.trail.scope import events_for
from tests.builders import body, post
from tests.trail.histories import MONDAY, store, told

VENDOR = connection.vendor
A_WHILE = 0.3  # seconds in which what does not wait would have ended
TABLE = connection.ops.quote_name(Event._meta.db_table)

simultaneous = pytest.mark.skipif(
    VENDOR == "sqlite", reason="SQLite has one writer at a time: ids commit in their order"
)
postgresql = pytest.mark.skipif(VENDOR != "postgresql", reason="PostgreSQL's own locks")
mariadb = pytest.mark.skipif(VENDOR != "mysql", reason="MariaDB's own locks")

pytestmark = pytest.mark.django_db(transaction=True)


class Session:
    """A connection of its own, in a thread of its own."""

    def __init__(self):
        self._thread = ThreadPoolExecutor(1)
        self._block = None

    def start(self, action, *args):
        return self._thread.submit(action, *args)

    def do(self, action, *args):
        return self.start(action, *args).result(20)

    def execute(self, sql, *params):
        def execute():
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                return cursor.fetchall() if cursor.description else None

        return self.do(execute)

    def begin(self):
        self._block = transaction.atomic()
        self.do(self._block.__enter__)

    def commit(self):
        block, self._block = self._block, None
        self.do(block.__exit__, None, None, None)

    def roll_back(self):
        self.do(transaction.set_rollback, True)
        self.commit()

    def close(self):
        if self._block:
            self.roll_back()
        self.do(connections.close_all)
        self._thread.shutdown()


@pytest.fixture
def sessions(transactional_db):
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Session()))


@pytest.fixture
def writer(sessions):
    return sessions()


@pytest.fixture
def follower(sessions):
    return sessions()


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 15)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 1)


def ids(batch):
    return [event.pk for event in batch.events]


def poll(after=0, size=100):
    return follow(Event.objects.all(), after, size)


def poll_in_a_transaction(after=0, size=100):
    with transaction.atomic():
        return poll(after, size)


POLLS = {"autocommit": poll, "inside of a transaction": poll_in_a_transaction}
polls = pytest.mark.parametrize("poll", POLLS.values(), ids=POLLS)


def walk(selection=None, after=0, size=2):
    """Follow to the end, and return the ids in the order in which they came."""
    found, more = [], True
    while more:
        batch = follow(Event.objects.all() if selection is None else selection, after, size)
        assert batch.last > after or not batch.more
        found, after, more = found + ids(batch), batch.last, batch.more
    return found


def waits(answer):
    try:
        answer.result(A_WHILE)
    except StillWaiting:
        return True
    return False


def late_and_early(writer):
    """Store a first event, one that is not committed, and then one that is; return their ids."""
    [first] = store(told(0))
    writer.begin()
    [late] = writer.do(store, told(1))
    [early] = store(told(2))
    assert first.pk < late.pk < early.pk
    assert Event.objects.aggregate(top=Max("pk"))["top"] == early.pk
    return first.pk, late.pk, early.pk


# What has come


def test_an_empty_trail():
    assert settled() == 0
    assert poll() == module.Batch((), 0, more=False)


def test_each_event_in_the_order_of_ids():
    events = store(*(told(-hour) for hour in range(7)))
    first = poll(size=3)
    assert ids(first) == [event.pk for event in events[:3]]
    assert (first.last, first.more) == (events[2].pk, True)
    assert walk(after=first.last) == [event.pk for event in events[3:]]
    assert settled() == events[-1].pk


@pytest.mark.parametrize(("size", "count", "more"), [(1, 1, True), (2, 2, False), (3, 2, False)])
def test_at_most_as_many_as_asked_for(size, count, more):
    events = store(told(0), told(1))
    batch = poll(size=size)
    assert ids(batch) == [event.pk for event in events[:count]]
    assert (batch.last, batch.more) == (events[count - 1].pk, more)


def test_at_the_end_there_is_nothing_until_something_comes():
    [event] = store(told(0))
    assert poll(event.pk) == module.Batch((), event.pk, more=False)
    [another] = store(told(1))
    assert ids(poll(event.pk)) == [another.pk]


def test_ids_that_were_never_used():
    for key in (1, 2):
        wire = body(PrimaryKey=key)
        post(wire)
        post(wire)  # a duplicate, which takes an id and gives it back unused
    found = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert len(found) == 2
    assert VENDOR == "sqlite" or found[1] - found[0] > 1
    assert walk(size=1) == found


def test_ahead_of_the_trail_is_an_error():
    [event] = store(told(0))
    with pytest.raises(ValueError, match=rf"no event {event.pk + 1}: the last one is {event.pk}\."):
        poll(event.pk + 1)


def test_ahead_of_an_empty_trail_is_an_error():
    with pytest.raises(ValueError, match="the last one is 0"):
        poll(2**70)


def test_only_the_selection():
    mine = told(0, context_identifier="Acme", entity="sale")
    store(mine, told(1), mine, told(2, context_identifier="Acme"), mine)
    selection = Event.objects.in_contexts(["Acme"]).filter(entity="sale")
    expected = [event.pk for event in selection.order_by("pk")]
    assert len(expected) == 3
    assert walk(selection, size=1) == walk(selection) == expected


def test_only_what_the_user_may_see(settings):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: [user],
    }
    events = store(*(told(n, context_identifier="AB"[n % 2]) for n in range(6)))
    assert walk(events_for("A")) == [event.pk for event in events[::2]]
    assert walk(events_for("C")) == []


def test_the_fields_that_changed_come_with_an_event(django_assert_num_queries):
    post(body(Changes=["name", "orgNr"], Event="contact.deleted", Values={"contact_id": 7}))
    [event] = poll().events
    with django_assert_num_queries(0):
        assert [field.name for field in event.changed_fields.all()] == ["name", "orgNr"]
        assert [(row.name, row.value) for row in event.deleted_values.all()] == [("contact_id", 7)]


class ReadsGoToAReplica:
    """As in Django's own example of a router."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


def test_a_replica_is_not_asked(settings, monkeypatch):
    post(body(Changes=["name"]))
    monkeypatch.setitem(connections.settings, "replica", connection.settings_dict)
    settings.DATABASE_ROUTERS = [ReadsGoToAReplica()]
    with pytest.raises(AssertionError, match="connections to 'replica' are not allowed"):
        Event.objects.get()
    [event] = follow(Event.objects.with_rows(), 0, 10).events
    assert [field.name for field in event.changed_fields.all()] == ["name"]
    assert settled() == event.pk


# A rare selection


def test_where_nothing_is_selected_it_moves_on(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 5)
    events = store(*(told(0) for _ in range(12)), told(0, entity="sale"))
    start, rare = events[0].pk - 1, Event.objects.filter(entity="sale")
    batches = [follow(rare, after, 10) for after in (start, start + 5, start + 10)]
    assert [ids(batch) for batch in batches] == [[], [], [events[-1].pk]]
    assert [batch.last for batch in batches] == [start + 5, start + 10, events[-1].pk]
    assert [batch.more for batch in batches] == [True, True, False]


def test_behind_the_last_selected_it_moves_on_too():
    events = store(told(0, entity="sale"), told(1), told(2))
    batch = follow(Event.objects.filter(entity="sale"), 0, 10)
    assert (ids(batch), batch.last, batch.more) == ([events[0].pk], events[-1].pk, False)


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
@pytest.mark.parametrize("window", [1, 5, 10_000])
def test_windows_of_any_size_give_each_event_once(monkeypatch, window, size):
    monkeypatch.setattr(module, "WINDOW", window)
    events = store(*(told(n, entity="sale" if n % 3 else "contact") for n in range(23)))
    start = events[0].pk - 1
    sales = Event.objects.filter(entity="sale")
    assert walk(sales, start, size) == [e.pk for e in events if e.entity == "sale"]
    assert walk(None, start, size) == [event.pk for event in events]


# Events that are not committed yet


@pytest.mark.skipif(VENDOR != "sqlite", reason="others let several write")
def test_sqlite_gives_the_next_id_when_the_writer_before_has_ended(writer, sessions):
    [first] = store(told(0))
    writer.begin()
    [late] = writer.do(store, told(1))
    another = sessions()
    early = another.start(store, told(2))
    assert waits(early)
    assert walk() == [first.pk]  # nobody who reads waits
    writer.commit()
    [early] = early.result(10)
    assert first.pk < late.pk < early.pk
    assert walk() == [first.pk, late.pk, early.pk]


def save_and_roll_back():
    """Insert below a savepoint, go back to it, and leave the transaction open."""
    with transaction.atomic():
        store(told(1))
        transaction.set_rollback(True)


@simultaneous
@polls
@pytest.mark.parametrize("ends", ["commit", "roll_back"])
def test_nothing_beyond_an_undecided_event_is_handed_out(patient, writer, follower, poll, ends):
    first, late, early = late_and_early(writer)
    answer = follower.start(poll, first)
    assert waits(answer)
    getattr(writer, ends)()
    expected = [late, early] if ends == "commit" else [early]
    batch = answer.result(10)
    assert ids(batch) == expected
    assert (batch.last, batch.more) == (early, False)
    assert walk() == [first, *expected]


@simultaneous
def test_the_end_of_the_trail_is_behind_what_is_undecided(patient, writer, follower):
    _first, late, early = late_and_early(writer)
    answer = follower.start(settled)
    assert waits(answer)
    writer.commit()
    assert answer.result(10) == early
    assert Event.objects.filter(pk=late).exists()


@simultaneous
def test_several_undecided_events(patient, sessions, follower):
    writers = [sessions() for _ in range(4)]
    events = []
    for session in writers:
        session.begin()
        events += session.do(store, told(1)) + store(told(2))
    start = events[0].pk - 1
    answer = follower.start(poll, start)
    for session, end in zip(writers, ("commit", "roll_back", "commit", "commit"), strict=True):
        assert waits(answer)
        getattr(session, end)()
    expected = [event.pk for number, event in enumerate(events) if number != 2]
    assert ids(answer.result(10)) == expected


@simultaneous
def test_what_begins_later_is_not_waited_for(patient, sessions, writer, follower):
    first, late, early = late_and_early(writer)
    answer = follower.start(poll, first)
    assert waits(answer)
    newcomer = sessions()
    newcomer.begin()
    [newest] = newcomer.do(store, told(3))
    [beyond] = store(told(4))  # and what is beyond that is not handed out
    writer.commit()
    batch = answer.result(10)
    assert (ids(batch), batch.last) == ([late, early], early)
    newcomer.commit()
    assert ids(poll(early)) == [newest.pk, beyond.pk]


@simultaneous
def test_what_stays_undecided_is_an_error_and_nothing_is_lost(impatient, writer):
    first, late, early = late_and_early(writer)
    for after in (0, first):
        with pytest.raises(UnsettledError, match="open for more than 1 seconds"):
            poll(after)
    with pytest.raises(UnsettledError):
        settled()
    writer.commit()
    assert walk() == [first, late, early]


@simultaneous
def test_who_has_everything_waits_for_nobody(patient, writer, follower):
    [first] = store(told(0))
    writer.begin()
    [late] = writer.do(store, told(1))
    assert follower.do(poll, first.pk) == module.Batch((), first.pk, more=False)
    writer.commit()
    assert ids(poll(first.pk)) == [late.pk]


@simultaneous
def test_an_undecided_event_far_below_the_last(monkeypatch, patient, writer, follower):
    monkeypatch.setattr(module, "WINDOW", 5)
    first, late, _early = late_and_early(writer)
    store(*(told(3) for _ in range(20)))
    answer = follower.start(poll, first)
    assert waits(answer)
    writer.commit()
    assert ids(answer.result(10))[0] == late
    assert walk() == list(Event.objects.order_by("pk").values_list("pk", flat=True))


@simultaneous
@polls
def test_writers_are_not_blocked_by_a_follower_that_waits(patient, writer, follower, poll):
    first, late, early = late_and_early(writer)
    answer = follower.start(poll, first)
    assert waits(answer)
    posted = [post(body(PrimaryKey=key)).content for key in range(5)]
    assert posted == [b"recorded\n"] * 5
    assert waits(answer)
    writer.commit()
    batch = answer.result(10)
    assert ids(batch)[:2] == [late, early]
    assert len(ids(batch) + walk(after=batch.last)) == 7


@simultaneous
def test_ten_followers_wait_together(patient, sessions, writer):
    first, late, early = late_and_early(writer)
    answers = [sessions().start(poll, first) for _ in range(10)]
    assert all(waits(answer) for answer in answers[:2])
    writer.commit()
    assert [ids(answer.result(10)) for answer in answers] == [[late, early]] * 10


@simultaneous
def test_an_event_below_a_savepoint_that_is_kept(patient, writer, follower):
    [first] = store(told(0))
    writer.begin()

    def insert():
        with transaction.atomic():
            return store(told(1))

    [late] = writer.do(insert)
    [early] = store(told(2))
    answer = follower.start(poll, first.pk)
    assert waits(answer)
    writer.commit()
    assert ids(answer.result(10)) == [late.pk, early.pk]


@simultaneous
def test_an_event_below_a_savepoint_that_is_given_up(impatient, writer):
    [first] = store(told(0))
    writer.begin()
    writer.do(save_and_roll_back)
    [early] = store(told(2))
    assert ids(poll(first.pk)) == [early.pk]  # at once, though the transaction is open
    [again] = writer.do(store, told(3))
    assert again.pk > early.pk
    writer.commit()
    assert ids(poll(early.pk)) == [again.pk]


def test_a_transaction_sees_its_own_events():
    [first] = store(told(0))
    with transaction.atomic():
        [mine] = store(told(1))
        assert walk() == [first.pk, mine.pk]
        transaction.set_rollback(True)
    assert walk() == [first.pk]


# Whom nobody has to wait for


def read_events(session, _event):
    session.do(list, Event.objects.all())


def deliver(outcome, event=None):
    Delivery.objects.create(
        received_at=MONDAY, outcome=outcome, event=event, headers={}, body=b"not JSON"
    )


def write_a_delivery(session, _event):
    session.do(deliver, Outcome.QUARANTINED)


def refer_to_an_event(session, event):
    """Lock the row of an event against deletion, as duplicates do."""
    session.do(deliver, Outcome.DUPLICATE, event)


def write_elsewhere(session, _event):
    session.execute("INSERT INTO auth_group (name) VALUES ('another table')")


@simultaneous
@pytest.mark.parametrize("act", [read_events, write_a_delivery, refer_to_an_event, write_elsewhere])
def test_who_writes_no_event_is_not_waited_for(impatient, writer, act):
    events = store(told(0), told(1))
    writer.begin()
    act(writer, events[0])
    assert ids(poll()) == [event.pk for event in events]
    writer.roll_back()


@contextmanager
def twin_database():
    """A copy of this database, in which the same tables have the same numbers."""
    name = f"{connection.settings_dict['NAME']}_twin"
    source = connection.ops.quote_name(connection.settings_dict["NAME"])
    quoted = connection.ops.quote_name(name)
    connections.close_all()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
        cursor.execute(f"CREATE DATABASE {quoted} TEMPLATE {source}")
    try:
        with closing(connection.copy()) as twin:
            twin.settings_dict["NAME"] = name
            yield twin
    finally:
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quoted}")


@postgresql
def test_who_writes_events_of_another_database_is_not_waited_for(impatient):
    number = f"SELECT '{TABLE}'::regclass::oid"
    with connection.cursor() as cursor:
        cursor.execute(number)
        expected = cursor.fetchone()
    with twin_database() as twin:
        events = store(told(0), told(1))
        twin.set_autocommit(False)
        with twin.cursor() as cursor:
            cursor.execute(number)
            assert cursor.fetchone() == expected
            cursor.execute(f"LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE")
        assert ids(poll()) == [event.pk for event in events]
        twin.rollback()


@postgresql
def test_who_still_waits_to_write_has_no_id_yet(impatient, sessions, writer):
    """CREATE INDEX holds up the writers, and no follower."""
    events = store(told(0), told(1))
    writer.begin()
    writer.execute(f"LOCK TABLE {TABLE} IN SHARE MODE")
    answer = sessions().start(store, told(2))
    assert waits(answer)
    assert ids(poll()) == [event.pk for event in events]
    writer.commit()
    [late] = answer.result(10)
    assert ids(poll(events[-1].pk)) == [late.pk]


# PostgreSQL: transactions that are prepared


@pytest.fixture
def prepare(writer):
    """Prepare the writer's transaction, and afterwards roll back what was not committed."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_prepared_transactions")
        if cursor.fetchone() == ("0",):
            pytest.skip("this server has max_prepared_transactions = 0, its default")
    prepared = []

    def prepare(name):
        writer.execute(f"PREPARE TRANSACTION '{name}'")
        writer.commit()  # nothing any more: the transaction belongs to nobody now
        prepared.append(name)

    yield prepare
    with connection.cursor() as cursor:
        cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        for (name,) in cursor.fetchall():
            cursor.execute(f"ROLLBACK PREPARED '{name}'")


@postgresql
@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_a_transaction_that_is_prepared_meanwhile(patient, writer, follower, prepare, ends):
    first, late, early = late_and_early(writer)
    answer = follower.start(poll, first)
    assert waits(answer)
    prepare("meanwhile")
    assert waits(answer)
    writer.execute(f"{ends} PREPARED 'meanwhile'")
    assert ids(answer.result(10)) == ([late, early] if ends == "COMMIT" else [early])


@postgresql
def test_a_transaction_that_was_prepared_before(impatient, writer, prepare):
    first, late, early = late_and_early(writer)
    prepare("before")
    with pytest.raises(UnsettledError):
        poll(first)
    writer.execute("COMMIT PREPARED 'before'")
    assert walk() == [first, late, early]


@postgresql
def test_a_prepared_transaction_that_only_read_is_not_waited_for(impatient, writer, prepare):
    events = store(told(0), told(1))
    writer.begin()
    read_events(writer, None)
    prepare("reader")
    assert ids(poll()) == [event.pk for event in events]


# Transactions that read from a snapshot


@contextmanager
def isolation(level):
    """Make this the isolation of what this connection begins next."""
    with connection.cursor() as cursor:
        if VENDOR == "postgresql":
            cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
        else:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    try:
        yield
    finally:
        connection.close()


@simultaneous
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_would_hide_what_is_committed_meanwhile(level):
    store(told(0))
    with (
        isolation(level),
        transaction.atomic(),
        pytest.raises(TransactionManagementError, match=f"the isolation {level.lower()} nobody"),
    ):
        poll()


@simultaneous
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_any_isolation_will_do_outside_of_transactions(patient, writer, follower, level):
    first, late, early = late_and_early(writer)

    def poll_isolated():
        with isolation(level):
            return poll(first)

    answer = follower.start(poll_isolated)
    assert waits(answer)
    assert post(body()).content == b"recorded\n"  # and no writer is blocked
    writer.commit()
    assert ids(answer.result(10))[:2] == [late, early]


# MariaDB: the moment between an id and its row


@mariadb
def test_an_id_that_is_taken_before_its_row_is_there(patient, sessions, writer, follower):
    """Two transactions lock the place of a row, one after the other, and nobody has the row."""
    [first] = store(told(0))
    locker, next_locker = sessions(), sessions()
    for session in (locker, next_locker):
        session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.begin()
    locker.execute(f"SELECT id FROM {TABLE} WHERE id > %s FOR UPDATE", first.pk)
    inserting = writer.start(store, told(1))
    assert waits(inserting)
    [early] = locker.do(store, told(2))
    next_locker.execute(f"SELECT id FROM {TABLE} WHERE id = %s FOR UPDATE", early.pk - 1)
    locker.commit()
    assert waits(inserting)
    assert list(Event.objects.order_by("pk")) == [first, early]
    answer = follower.start(poll, first.pk)
    assert waits(answer)
    next_locker.roll_back()
    [late] = inserting.result(10)
    assert first.pk < late.pk < early.pk
    assert ids(answer.result(10)) == [late.pk, early.pk]
