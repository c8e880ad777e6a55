"""What the database may take, and what becomes of a delivery that it does not take in time."""

import threading
import time
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, OperationalError, connection, connections

from superoffice_hooks.intake import deadline as deadline_module
from superoffice_hooks.intake.deadline import (
    REST,
    TRIAL,
    Breaker,
    Deadline,
    Line,
    transaction_within,
)
from superoffice_hooks.intake.drain import drain
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, encode, post

SLOW = {
    "postgresql": ["SET LOCAL statement_timeout = 0", "SELECT pg_sleep(5)"],
    "mysql": ["SET max_statement_time = 0", "SELECT SLEEP(5)"],
    "sqlite": [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    ],
}
SETTINGS = {
    "postgresql": "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')",
    "mysql": "SELECT @@max_statement_time, @@innodb_lock_wait_timeout",
    "sqlite": "PRAGMA busy_timeout",
}


def limits():
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS[connection.vendor])
        return cursor.fetchone()


@pytest.fixture
def writer():
    """Another connection in the middle of a transaction that holds what ``wire`` will need."""
    other = connections["default"].copy()

    def hold(wire):
        columns = {
            field.column: value
            for field, value in (
                (Event._meta.get_field(name), value)
                for name, value in {
                    "event_id": wire["EventId"],
                    "context_identifier": wire["ContextIdentifier"],
                    "name": wire["Event"],
                    "primary_key": wire["PrimaryKey"],
                    "entity": wire["Entity"],
                    "action": "changed",
                    "changed_by_associate_id": 0,
                    "webhook_name": "",
                    "occurred_at": "2026-03-02 09:15:27",
                    "received_at": "2026-03-02 09:15:27",
                    "field_values": "{}",
                    "properties": "{}",
                    "flags": "[]",
                }.items()
            )
        }
        columns["event_id"] = Event._meta.get_field("event_id").get_db_prep_value(
            wire["EventId"], other
        )
        names = ", ".join(columns)
        marks = ", ".join(["%s"] * len(columns))
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO superoffice_hooks_event ({names}) VALUES ({marks})",
                list(columns.values()),
            )

    yield SimpleNamespace(hold=hold, let_go=other.rollback)
    other.rollback()
    other.close()


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_a_lock_is_spooled_in_time_and_stored_later(settings, spool, writer):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"STORE_TIMEOUT": 0.2}
    wire = body()
    writer.hold(wire)
    response = post(wire)
    assert (response.status_code, response.content) == (200, b"spooled\n")
    writer.let_go()
    assert not Delivery.objects.exists()
    assert drain(spool) == {"recorded": 1}
    assert bytes(Delivery.objects.get().body) == encode(wire)


@pytest.mark.django_db(transaction=True)
def test_the_database_has_the_time_that_the_site_gives_it(settings, spool, monkeypatch):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"STORE_TIMEOUT": 3.5}
    given = []

    def after(seconds):
        given.append(seconds)
        return Deadline(time.monotonic() + seconds)

    monkeypatch.setattr(Deadline, "after", after)
    assert post(body()).content == b"recorded\n"
    assert given[0] == 3.5
    assert all(seconds <= 3.5 for seconds in given)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no host")
def test_a_host_that_says_nothing_is_given_up():
    site = connections["default"].settings_dict
    with deadline_module.socket.create_server(("127.0.0.1", 0)) as silent:
        other = connections["default"].copy()
        other.settings_dict = {**site, "HOST": "127.0.0.1", "PORT": silent.getsockname()[1]}
        before = other.settings_dict
        with (
            pytest.raises(OperationalError),
            deadline_module._connecting_in_time(other),
        ):
            other.ensure_connection()
        assert other.settings_dict is before


@pytest.mark.django_db(transaction=True)
def test_the_connection_is_afterwards_as_it_was(spool):
    before = limits()
    assert post(body()).content == b"recorded\n"
    assert limits() == before


@pytest.mark.django_db(transaction=True)
def test_within_the_transaction_the_server_is_bound(spool):
    with transaction_within(Deadline.after(0.9), "default"):
        if connection.vendor == "postgresql":
            assert all(0 < int(value.removesuffix("ms")) <= 900 for value in limits())
        elif connection.vendor == "mysql":
            statement, lock = limits()
            assert 0 < statement <= 0.9
            assert lock == 1
        else:
            assert 0 < limits()[0] <= 900


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="there is more than one writer")
def test_the_only_writers_place_is_asked_for_often(writer):
    """Else who has waited for long looks seldom, and finds another writer each time."""
    writer.hold(body())
    waited = []

    def note(run, sql, params, many, context):
        if sql.startswith("BEGIN"):
            waited.append(limits()[0])
            if len(waited) == 4:
                writer.let_go()
        return run(sql, params, many, context)

    with connection.execute_wrapper(note), transaction_within(Deadline.after(9), "default"):
        assert limits()[0] > 1000
    assert waited == [deadline_module.ATTEMPT] * 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="there is more than one writer")
def test_the_only_writers_place_is_asked_for_until_the_deadline(writer):
    writer.hold(body())
    began = time.monotonic()
    with (
        pytest.raises(OperationalError, match="locked"),
        transaction_within(Deadline.after(0.1), "default"),
    ):
        raise AssertionError
    assert time.monotonic() - began >= 0.1
    writer.let_go()
    assert limits()[0] > 1000


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="there is more than one writer")
def test_one_thread_asks_and_the_others_wait_for_it_until_the_deadline(monkeypatch):
    asking, held, go = threading.RLock(), threading.Event(), threading.Event()
    monkeypatch.setitem(deadline_module._asking, "default", asking)

    def ask():
        with asking:
            held.set()
            go.wait(30)

    other = threading.Thread(target=ask)
    other.start()
    held.wait(30)
    refused = pytest.raises(OperationalError, match="Others of this process wait to write")
    with refused, transaction_within(Deadline.after(0.05), "default"):
        raise AssertionError
    go.set()
    other.join()
    with transaction_within(Deadline.after(9), "default"):
        assert not is_held(asking)


def is_held(lock):
    """Whether any thread has this lock."""
    taken = []
    asker = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))
    asker.start()
    asker.join()
    return taken == [False]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="there is more than one writer")
def test_who_is_interrupted_with_the_lock_in_hand_leaves_it(monkeypatch):
    class Interrupted(BaseException):
        pass

    class Lock:
        """As when the interruption is raised after the lock was taken, and before anything else."""

        def __init__(self):
            self.real = threading.RLock()

        def acquire(self, timeout):
            self.real.acquire()
            raise Interrupted

        def release(self):
            self.real.release()

    lock = Lock()
    monkeypatch.setitem(deadline_module._asking, "default", lock)
    with pytest.raises(Interrupted), transaction_within(Deadline.after(9), "default"):
        raise AssertionError
    assert not is_held(lock.real)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="there is more than one writer")
def test_what_is_no_other_writer_is_not_waited_for():
    begun = []

    def fail(run, sql, params, many, context):
        begun.append(sql.startswith("BEGIN"))
        if begun[-1]:
            raise OperationalError("disk I/O error")
        return run(sql, params, many, context)

    with (
        connection.execute_wrapper(fail),
        pytest.raises(OperationalError, match="disk"),
        transaction_within(Deadline.after(9), "default"),
    ):
        raise AssertionError
    assert begun.count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_a_server_that_says_nothing_is_left_by_the_deadline():
    def wait():
        with transaction_within(Deadline.after(0.05), "default"), connection.cursor() as cursor:
            for statement in SLOW[connection.vendor]:
                cursor.execute(statement)

    with pytest.raises(DatabaseError):  # otherwise it ends well after a while, or never
        wait()
    connection.close_if_unusable_or_obsolete()
    if connection.vendor == "postgresql":  # it notices only when it has slept
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    assert Event.objects.count() == 0


def test_a_connection_that_is_closed_already_is_severed_in_peace():
    near, far = deadline_module.socket.socketpair()
    with near, far, deadline_module.ExitStack() as stack:
        line = Line(SimpleNamespace(connection=near, vendor="any"), stack)
        assert not line.is_severed
        line.sever()
        assert far.recv(1) == b""
        line.sever()
        assert line.is_severed


def test_a_late_connection_is_severed_where_no_descriptor_is_free(monkeypatch):
    def none_is_free(*args):
        raise OSError(24, "Too many open files")

    near, far = deadline_module.socket.socketpair()
    with near, far, deadline_module.ExitStack() as stack:
        line = Line(SimpleNamespace(connection=near, vendor="any"), stack)
        monkeypatch.setattr(deadline_module.os, "dup", none_is_free)
        line.sever()
        assert far.recv(1) == b""


def test_a_closed_end_is_no_error():
    listener = deadline_module.socket.socket()
    with listener, deadline_module.ExitStack() as stack:
        Line(SimpleNamespace(connection=listener, vendor="x"), stack).sever()  # never connected


@pytest.mark.django_db(transaction=True)
def test_what_a_health_check_opens_anew_is_watched(monkeypatch):
    watched = []
    over = deadline_module._watchdog.over

    def note(connection, deadline):
        watched.append(connection.connection)
        return over(connection, deadline)

    monkeypatch.setattr(deadline_module._watchdog, "over", note)
    real = connections["default"]  # and not the proxy
    real.ensure_connection()
    stale = real.connection
    monkeypatch.setattr(real, "health_check_enabled", True)
    monkeypatch.setattr(real, "health_check_done", False)
    monkeypatch.setattr(real, "is_usable", lambda: False)
    with transaction_within(Deadline.after(5), "default"):
        assert real.connection is watched[-1]
    assert watched[0] is stale
    assert len(watched) == 2


@pytest.mark.django_db(transaction=True)
def test_without_time_nothing_is_tried():
    with (
        pytest.raises(OperationalError, match="No time is left"),
        transaction_within(Deadline.after(-1), "default"),
    ):
        raise AssertionError


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "postgresql", reason="its limits end with the transaction")
def test_a_connection_whose_limits_cannot_be_taken_back_is_closed():
    def refuse(run, sql, params, many, context):
        if "busy_timeout = " in sql or sql.startswith("SET"):
            raise OperationalError("gone")
        return run(sql, params, many, context)

    with transaction_within(Deadline.after(5), "default"):
        wrapper = connection.execute_wrapper(refuse)
        wrapper.__enter__()
    wrapper.__exit__(None, None, None)
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_a_database_without_limits_of_its_own_is_watched_only(monkeypatch):
    monkeypatch.setattr(deadline_module, "_SESSION_LIMITS", {})
    with transaction_within(Deadline.after(5), "default"):
        assert Event.objects.count() == 0


def test_mysql_proper_bounds_its_locks_only():
    said = []
    server = SimpleNamespace(cursor=lambda: _Entered(SimpleNamespace(execute=said.append)))
    server.mysql_is_mariadb = False
    undo = deadline_module._limit_mysql(server, Deadline.after(0.5))
    assert said == [
        "SET @superoffice_innodb_lock_wait_timeout = @@innodb_lock_wait_timeout, "
        "innodb_lock_wait_timeout = 1"
    ]
    assert undo == "SET innodb_lock_wait_timeout = @superoffice_innodb_lock_wait_timeout"
    server.mysql_is_mariadb = True
    undo = deadline_module._limit_mysql(server, Deadline.after(-1))
    assert said[1].endswith("innodb_lock_wait_timeout = 1, max_statement_time = 0.001")
    assert undo.endswith("max_statement_time = @superoffice_max_statement_time")


class _Entered:
    def __init__(self, cursor):
        self.cursor = cursor

    def __enter__(self):
        return self.cursor

    def __exit__(self, *error):
        pass


def test_the_breaker_spares_all_but_one_the_attempt(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(deadline_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    breaker = Breaker()
    assert breaker.allows()
    assert not breaker.is_open
    breaker.trip()
    assert [breaker.allows() for _ in range(3)] == [False, False, False]
    assert breaker.is_open
    assert breaker.rests
    clock.now += REST
    assert not breaker.rests
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    clock.now += REST
    assert not breaker.allows()  # the one that tries is not back yet
    clock.now += TRIAL
    assert breaker.allows()
    breaker.reset()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_without_a_word_is_said_to_be():
    lost = SimpleNamespace(fileno=lambda: -1)
    closed = []
    stand_in = SimpleNamespace(connection=lost, vendor="any", close=lambda: closed.append(True))
    with (
        pytest.raises(OperationalError, match="was lost"),
        deadline_module.ExitStack() as stack,
    ):
        Line(stand_in, stack)
    assert closed == [True]
