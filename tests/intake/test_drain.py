"""From the spool into the database: each delivery once, whatever happens in between."""

import errno
import os
import threading
import time
from pathlib import Path
from unittest import mock

import pytest
from django.core.files import locks
from django.db import OperationalError, connection, connections
from django.utils.timezone import now

from superoffice_hooks.intake import drain as drain_module
from superoffice_hooks.intake import ingest as ingest_module
from superoffice_hooks.intake.deadline import breaker
from superoffice_hooks.intake.drain import GIVE_UP, Drainer, drain
from superoffice_hooks.intake.insert import LARGE, is_possible
from superoffice_hooks.intake.rows import NEW_ROW
from superoffice_hooks.intake.spool import read
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import alarm_raised, event_recorded
from tests.builders import body, encode, inserts, post

pytestmark = pytest.mark.django_db(transaction=True)


def away(run, sql, params, many, context):
    """The database, when it takes nothing."""
    if inserts(sql):
        raise OperationalError("the database system is shutting down")
    return run(sql, params, many, context)


def spooled(*wires):
    """Post these while the database is away."""
    for wire in wires:
        with connection.execute_wrapper(away):
            response = post(wire)
        assert (response.status_code, response.content) == (200, b"spooled\n")


@pytest.fixture
def alarms():
    heard = []

    def receiver(alarm, subject, message, **kwargs):
        heard.append((alarm.value, message))

    alarm_raised.connect(receiver)
    yield heard
    alarm_raised.disconnect(receiver)


@pytest.fixture
def signals():
    heard = []

    def receiver(event, delivery, **kwargs):
        heard.append((event.pk, delivery.pk))

    event_recorded.connect(receiver)
    yield heard
    event_recorded.disconnect(receiver)


def test_what_was_spooled_is_stored_as_of_its_arrival(spool, signals, alarms):
    wire = body()
    before = now()
    spooled(wire)
    after = now()
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)
    assert [kind for kind, _ in alarms] == ["spool_in_use"]
    assert drain(spool) == {"recorded": 1}
    delivery = Delivery.objects.get()
    assert before <= delivery.received_at <= after
    assert delivery.event.received_at == delivery.received_at
    assert bytes(delivery.body) == encode(wire)
    assert delivery.headers["Content-Type"].startswith("application/json")
    assert delivery.signature
    assert delivery.key_id
    assert delivery.reason.startswith("Spooled when it arrived; stored at 20")
    assert signals == [(delivery.event.pk, delivery.pk)]
    assert spool.is_empty()
    assert drain(spool) == {}


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        pytest.param(encode(body()), "recorded", id="event"),
        pytest.param(encode(body(Event="test")), "test", id="test event"),
        pytest.param(b"not JSON", "quarantined", id="unreadable"),
    ],
)
def test_a_drain_that_was_killed_before_it_removed_the_file_is_repeated_in_vain(
    spool, signals, raw, outcome
):
    spooled(raw)
    killed = mock.patch.object(Path, "unlink", side_effect=OSError(errno.EIO, "killed here"))
    with killed:
        assert drain(spool) == {"failed": 1}
    assert not spool.is_empty()
    assert drain(spool) == {outcome: 1}
    assert Delivery.objects.get().outcome == outcome
    assert spool.is_empty()
    # Whether the signal went out before the kill is unknown: better twice than never.
    assert len(set(signals)) == (outcome == "recorded")


def test_what_was_stored_on_arrival_after_all_is_not_stored_again(spool):
    # The commit reached the database, and its answer came too late.
    commit = connection._commit

    def commit_and_lose_the_answer():
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    raw = encode(body(Event="test"))
    connection._commit = commit_and_lose_the_answer
    try:
        with mock.patch("superoffice_hooks.intake.rows.PAUSES", ()):
            assert post(raw).content == b"spooled\n"
    finally:
        connection._commit = commit
    assert Delivery.objects.count() == 1
    assert drain(spool) == {"test": 1}
    assert Delivery.objects.count() == 1


def test_what_superoffice_sent_again_meanwhile_makes_it_a_duplicate(spool):
    wire = body()
    spooled(wire)
    breaker.reset()
    assert post(wire).content == b"recorded\n"
    assert drain(spool) == {"duplicate": 1}
    assert Event.objects.count() == 1
    assert sorted(Delivery.objects.values_list("outcome", flat=True)) == ["duplicate", "recorded"]


def test_while_the_database_is_away_everything_stays(spool):
    spooled(*(body() for _ in range(2 * GIVE_UP + 2)))
    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        drain(spool)
    assert len(spool.waiting()) == 2 * GIVE_UP + 2
    assert drain(spool) == {"recorded": 2 * GIVE_UP + 2}


def test_a_database_that_does_not_answer_is_given_up_at_once(spool):
    spooled(body(), body())

    def gone(run, sql, params, many, context):
        raise OperationalError("gone")

    read_before = mock.patch.object(drain_module, "read", side_effect=read)
    with (
        connection.execute_wrapper(gone),
        read_before as files_read,
        pytest.raises(OperationalError),
    ):
        drain(spool)
    # All together, where the database can, and one of them alone.
    assert files_read.call_count == (2 if is_possible("default") else 0) + 1
    assert len(spool.waiting()) == 2


@pytest.mark.parametrize("error", [ZeroDivisionError, OperationalError], ids=["bug", "database"])
def test_poison_does_not_keep_those_behind_it_waiting(spool, error):
    poison = encode(body(PrimaryKey=13))
    spooled(poison, *(body() for _ in range(3)))
    settle = drain_module.settle

    def fails_on_poison(arrival, endpoint, row):
        if arrival.body == poison:
            raise error
        return settle(arrival, endpoint, row)

    seen = []
    together = mock.Mock(side_effect=error)
    with mock.patch.multiple(drain_module, settle=fails_on_poison, settle_together=together):
        assert drain(spool, seen.append) == {"failed": 1, "recorded": 3}
    assert seen == ["failed", "recorded", "recorded", "recorded"]
    [left] = spool.waiting()
    assert read(left.read_bytes()).body == poison
    assert drain(spool) == {"recorded": 1}


@pytest.mark.parametrize("error", [ZeroDivisionError, OperationalError], ids=["bug", "database"])
def test_any_number_of_poison_does_not_either(spool, error):
    poison = [encode(body(PrimaryKey=13)) for _ in range(GIVE_UP + 5)]
    spooled(*poison[1:], *(body() for _ in range(3)), poison[0])
    settle = drain_module.settle

    def fails_on_poison(arrival, endpoint, row):
        if arrival.body in poison:
            raise error
        return settle(arrival, endpoint, row)

    together = mock.Mock(side_effect=error)
    with mock.patch.multiple(drain_module, settle=fails_on_poison, settle_together=together):
        assert drain(spool) == {"failed": GIVE_UP + 5, "recorded": 3}


def test_a_file_that_cannot_be_opened_does_not_either(spool, caplog):
    spooled(body(), body())
    first = spool.waiting()[0]
    first.unlink()
    first.mkdir()
    assert drain(spool) == {"failed": 1, "recorded": 1}
    assert f"{first} could not be drained: Is a directory" in caplog.text


def test_what_a_crash_left_unfinished_is_no_loss_and_no_alarm(spool, alarms, caplog):
    spooled(body())
    alarms.clear()
    torn = spool.tmp / spool.waiting()[0].name
    torn.write_bytes(spool.waiting()[0].read_bytes()[:-100])
    os.utime(torn, (0, 0))
    assert drain(spool) == {"unfinished": 1, "recorded": 1}
    assert (alarms, spool.damaged(), spool.is_empty()) == ([], [], True)
    [aside] = spool.bad.iterdir()
    assert aside.name == f"{torn.name}.unfinished"
    assert "was never finished" in caplog.text


def test_a_damaged_file_is_set_aside_loudly_and_kept(spool, alarms):
    spooled(body(), body())
    first, _ = spool.waiting()
    content = first.read_bytes()
    first.write_bytes(content[:-100])
    assert drain(spool) == {"damaged": 1, "recorded": 1}
    [aside] = spool.damaged()
    assert (aside.name, aside.read_bytes()) == (first.name, content[:-100])
    assert alarms[-1][0] == "spool_damaged"
    assert str(aside) in alarms[-1][1]
    assert spool.is_empty()


def test_what_another_drains_is_passed_over(spool):
    spooled(body(), body())
    first = spool.waiting()[0]
    with first.open("rb") as held:
        assert locks.lock(held, locks.LOCK_EX | locks.LOCK_NB)
        assert drain(spool) == {"recorded": 1}
    assert drain(spool) == {"recorded": 1}


def test_what_another_has_drained_is_passed_over(spool):
    spooled(body(), body())
    paths = spool.waiting()
    assert drain(spool) == {"recorded": 2}
    with mock.patch.object(type(spool), "waiting", return_value=paths):
        assert drain(spool) == {}


def test_a_file_that_the_other_removes_between_opening_and_locking_is_passed_over(spool):
    spooled(body())
    lock = locks.lock

    def lose(file, flags):
        Path(file.name).unlink()
        return lock(file, flags)

    with mock.patch.object(locks, "lock", lose):
        assert drain(spool) == {}


def test_any_number_may_drain_at_once(spool, signals):
    wires = [body(PrimaryKey=number) for number in range(40)]
    spooled(*wires)
    counts, errors = [], []

    def run():
        try:
            counts.append(drain(spool))
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(count["recorded"] for count in counts) == 40
    assert sorted(Event.objects.values_list("primary_key", flat=True)) == list(range(40))
    assert Delivery.objects.count() == len(signals) == 40


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no line that goes dead")
def test_a_line_that_goes_dead_does_not_hold_the_drain_for_ever(spool, monkeypatch):
    spooled(body())
    monkeypatch.setattr(drain_module, "PATIENCE", 0.05)
    wait = {"postgresql": "SELECT pg_sleep(5)", "mysql": "SELECT SLEEP(5)"}[connection.vendor]

    def slow(run, sql, params, many, context):
        if inserts(sql):
            return run(wait, (), False, context)
        return run(sql, params, many, context)

    with connection.execute_wrapper(slow):
        assert drain(spool) == {"failed": 1}
    monkeypatch.undo()
    assert drain(spool) == {"recorded": 1}


def test_an_endpoint_that_is_gone_leaves_its_deliveries_in_quarantine(settings, spool, alarms):
    wire = body()
    spooled(wire)
    settings.SUPEROFFICE_HOOKS = {"SPOOL_DIR": spool.folder}
    assert drain(spool) == {"quarantined": 1}
    delivery = Delivery.objects.get()
    assert delivery.reason.startswith("The endpoint 'default' was removed while")
    assert alarms[-1][0] == "quarantined"
    assert bytes(delivery.body) == encode(wire)


def test_the_breaker_spares_the_next_deliveries_the_attempt(spool):
    attempts = []

    def count(run, sql, params, many, context):
        attempts.append(sql)
        return away(run, sql, params, many, context)

    spooled(body())
    with connection.execute_wrapper(count):
        for _ in range(5):
            assert post(body()).content == b"spooled\n"
    assert attempts == []
    assert drain(spool) == {"recorded": 6}


def test_a_mistake_of_ours_spools_the_delivery_and_not_the_next(spool):
    with mock.patch.object(ingest_module, "settle", side_effect=ZeroDivisionError):
        assert post(body()).content == b"spooled\n"
    assert post(body()).content == b"recorded\n"
    assert drain(spool) == {"recorded": 1}


def test_where_the_spool_fails_too_superoffice_is_asked_to_try_again(spool, alarms):
    spool.folder.parent.chmod(0o700)
    spool.folder.write_text("a file in its place")
    with connection.execute_wrapper(away):
        response = post(body())
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert [kind for kind, _ in alarms] == ["spool_failed"]
    assert str(spool.folder) in alarms[0][1]


def test_the_background_drains_until_nothing_is_left(spool, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(drain_module, "REST", 0.01)
    own = Drainer()
    monkeypatch.setattr(ingest_module, "drainer", own)
    with connection.execute_wrapper(away):
        assert post(body()).content == b"spooled\n"
        assert post(body()).content == b"spooled\n"
    for _ in range(500):
        if own._thread is None:
            break
        time.sleep(0.01)
    own.stop()
    assert spool.is_empty()
    assert Event.objects.count() == 2
    assert not breaker.is_open


def test_a_process_looks_for_what_an_earlier_one_has_left(spool, monkeypatch):
    started = []
    spooled(body())
    breaker.reset()
    own = Drainer()
    monkeypatch.setattr(Drainer, "start", lambda self, spool: started.append(spool.folder))
    monkeypatch.setattr(ingest_module, "drainer", own)
    assert post(body()).content == b"recorded\n"
    assert post(body()).content == b"recorded\n"  # and looks only now and then
    assert started == [spool.folder]
    assert drain(spool) == {"recorded": 1}
    own._looked = -1000.0
    assert post(body()).content == b"recorded\n"
    assert started == [spool.folder]


def test_the_background_rests_while_the_database_is_away(spool):
    spooled(body())
    own = Drainer()
    with mock.patch.object(drain_module, "drain", side_effect=OperationalError):
        assert own._drain(spool) is False
    fails = mock.Mock(side_effect=ZeroDivisionError)
    with mock.patch.multiple(drain_module, settle=fails, settle_together=fails):
        breaker.trip()
        assert own._drain(spool) is False
        assert breaker.is_open
    assert own._drain(spool) is True
    own.stop()


def test_nothing_in_the_background_costs_a_delivery_its_200(spool, monkeypatch):
    monkeypatch.undo()
    own = Drainer()
    monkeypatch.setattr(ingest_module, "drainer", own)
    monkeypatch.setattr(threading.Thread, "start", mock.Mock(side_effect=RuntimeError))
    with mock.patch.object(ingest_module, "settle", side_effect=OperationalError):
        assert post(body()).content == b"spooled\n"
    breaker.reset()
    monkeypatch.setattr(type(spool), "is_empty", mock.Mock(side_effect=PermissionError))
    with mock.patch.object(ingest_module, "Row", return_value=NEW_ROW):
        assert post(body()).content == b"recorded\n"


def test_where_the_spool_fails_those_who_were_spared_ask_the_database_after_all(spool, alarms):
    spool.folder.write_text("a file in its place")
    breaker.trip()
    assert post(body()).content == b"recorded\n"
    assert not breaker.is_open
    breaker.trip()
    with connection.execute_wrapper(away):
        assert post(body()).status_code == 503
    assert [kind for kind, _ in alarms] == ["spool_failed"]


def test_a_drainer_that_rests_is_woken_when_the_database_takes_something(spool, monkeypatch):
    spooled(body())
    breaker.reset()
    own = Drainer()
    monkeypatch.undo()
    monkeypatch.setattr(drain_module, "REST", 0.01)
    monkeypatch.setattr(ingest_module, "drainer", own)
    own._is_away = True
    own._rests = lambda seconds, rests=Drainer._rests: rests(own, 1000.0)
    own.start(spool)
    with mock.patch.object(ingest_module.conf.__class__, "spool_dir", spool.folder):
        assert post(body()).content == b"recorded\n"
    for _ in range(500):
        if spool.is_empty():
            break
        time.sleep(0.01)
    own.stop()
    assert spool.is_empty()
    assert Event.objects.count() == 2


def test_what_waits_for_another_database_is_left_alone(settings, spool, monkeypatch):
    spooled(body())
    real = connections["default"].settings_dict["NAME"]
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", "the database of a test run")
    other = type(spool)(spool.folder)
    assert (other.waiting(), other.is_empty(), len(other.foreign())) == ([], True, 1)
    renamed = type(spool)(spool.folder, any_database=True)
    assert len(renamed.waiting()) == 1
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", real)
    assert spool.foreign() == []
    assert drain(spool) == {"recorded": 1}


def test_an_alarm_is_told_in_a_thread_of_its_own(spool, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(drain_module.drainer, "start", lambda spool: None)
    told, may_go_on = threading.Event(), threading.Event()

    def slow(**kwargs):
        may_go_on.wait(20)
        told.set()

    alarm_raised.connect(slow)
    try:
        with mock.patch.object(ingest_module.conf.__class__, "spool_dir", spool.folder):
            spooled(body())  # answered while the receiver waits
        assert not told.is_set()
        may_go_on.set()
        assert told.wait(20)
    finally:
        may_go_on.set()
        alarm_raised.disconnect(slow)


def test_who_is_told_and_breaks_off_is_not_silenced(spool):
    spooled(body(PrimaryKey=1), body(PrimaryKey=2))

    def break_off(result):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        drain(spool, break_off)
    assert len(spool.waiting()) == 1


def test_a_large_one_is_taken_alone(spool):
    spooled(body(PrimaryKey=1), body(PrimaryKey=2, FieldValues={"text": "x" * LARGE}))
    assert drain(spool) == {"recorded": 2}
    assert spool.is_empty()


def test_taken_alone_what_another_is_at_is_passed_over_too(spool, monkeypatch):
    spooled(body())
    monkeypatch.setattr(drain_module, "is_possible", lambda alias: False)
    [path] = spool.waiting()
    with path.open("rb") as file:
        assert locks.lock(file, locks.LOCK_EX)
        assert drain(spool) == {}
    assert drain(spool) == {"recorded": 1}
