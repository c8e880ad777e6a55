"""Deliveries that wait together: who writes them, and what becomes of those who cannot wait."""

import gzip
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock
from uuid import uuid4

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connections,
)

from superoffice_hooks.intake import group_commit, rows
from superoffice_hooks.intake.deadline import Deadline
from superoffice_hooks.intake.group_commit import MOST, GroupCommit
from superoffice_hooks.intake.insert import LARGE, insert
from superoffice_hooks.intake.rows import record_together
from superoffice_hooks.models import ChangedField, Delivery, Event
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode, post
from tests.intake.arrivals import arrival, together

# The queue, without a database.


@pytest.fixture
def group(monkeypatch):
    """A queue whose writes are noted, and wait for ``go`` when ``hold`` is set."""
    group = GroupCommit("default")
    group.written, group.hold, group.fails = [], False, None
    group.go, group.busy = threading.Event(), threading.Event()

    def write(news, alias, deadline):
        news = list(news)
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


def test_who_is_at_work_when_another_writes_goes_first(group, monkeypatch):
    joined = []

    def give_way(seconds):
        assert seconds == 0
        joined.append(Caller(group, f"joined {len(joined)}"))
        while len(group._queue) < 1 + len(joined):
            pass

    clock = mock.Mock(sleep=give_way, monotonic=lambda: 0.0)
    monkeypatch.setattr(group_commit, "time", clock)
    assert group.insert(Item("first"), None) == "first"
    finish(*joined)
    assert group.written == [["first", "joined 0", "joined 1"]]


def test_whoever_writes_does_not_give_way_to_a_thread_that_goes_on_and_on(group, monkeypatch):
    pauses = []
    clock = mock.Mock(sleep=pauses.append, monotonic=lambda: 0.005 * len(pauses))
    monkeypatch.setattr(group_commit, "time", clock)
    assert group.insert(Item("first"), None) == "first"
    assert pauses == [0]


def test_where_enough_wait_nobody_is_let_go_first(group, monkeypatch):
    first, waiting = held(group, ["a", "b", "c"])
    monkeypatch.setattr(group_commit, "time", mock.Mock(sleep=None, monotonic=lambda: 0.0))
    group.go.set()
    finish(first, *waiting)
    assert group.written == [["first"], ["a", "b", "c"]]


def test_those_who_wait_are_written_together_by_the_next(group):
    first, waiting = held(group, ["a", "b", "c"])
    waiting[1].item.is_new = False
    group.go.set()
    finish(first, *waiting)
    assert group.written == [["first"], ["a", "b", "c"]]
    assert [caller.result for caller in waiting] == ["a", None, "c"]
    assert group.insert(Item("later"), None)


def test_those_who_come_before_the_database_can_take_it_are_written_at_once(group, monkeypatch):
    write, can = group_commit.insert, threading.Event()

    def write_later(news, alias, deadline):
        assert can.wait(30)
        return write(news, alias, deadline)

    monkeypatch.setattr(group_commit, "insert", write_later)
    callers = [Caller(group, name) for name in range(3)]
    while len(group._queue) < 3:
        pass
    can.set()
    finish(*callers)
    [written] = group.written
    assert sorted(written) == [caller.result for caller in callers] == [0, 1, 2]


def test_where_the_database_never_can_only_the_one_who_asked_is_told(group, monkeypatch):
    write, can = group_commit.insert, threading.Event()

    def refuse(news, alias, deadline):
        monkeypatch.setattr(group_commit, "insert", write)
        assert can.wait(30)
        raise OperationalError("database is locked")

    monkeypatch.setattr(group_commit, "insert", refuse)
    first = Caller(group, "first")
    while not group._queue:
        pass
    second = Caller(group, "second")
    while len(group._queue) < 2:
        pass
    can.set()
    finish(first, second)
    assert isinstance(first.result, OperationalError)
    assert second.result == "second"
    assert group.written == [["second"]]


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
def test_whose_writer_was_interrupted_does_not_wait_for_ever(group, monkeypatch, seconds):
    monkeypatch.setattr(group_commit, "AT_LAST", 0.1)
    monkeypatch.setattr(group_commit, "GRACE", 0)
    mine = group_commit._Waiting(Item("mine"), seconds and Deadline.after(seconds))
    mine.soon = Deadline.after(0)
    with pytest.raises(OperationalError):
        group._wait(mine)


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
    group._queue, group._leader = [mine], mine
    mine.woken.wait = lambda timeout: False
    group._wait(mine)
    assert (group._queue, group._leader) == ([mine], mine)


@pytest.mark.parametrize("leads", [False, True], ids=["waiting", "about to write"])
def test_who_is_interrupted_before_it_writes_gives_way(group, monkeypatch, leads):
    other = group_commit._Waiting(Item("other"), None)
    group._leader = other

    def interrupt(mine):
        assert group._queue == [mine]
        if leads:
            group._leave(other)
            assert group._leader is mine
            assert mine.woken.is_set()
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        group.insert(Item("interrupted"), None)
    assert (group._queue, group._leader) == ([], None if leads else other)
    if leads:
        assert group.insert(Item("next"), None) == "next"


def test_a_child_that_is_forked_while_somebody_writes_writes_itself(group):
    ours = group_commit.group_of("default")
    ours._leader = group_commit._Waiting(Item("other"), None)
    code = os.fork()
    if code == 0:
        os._exit(0 if group_commit.group_of("default")._leader is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(code, 0)[1]) == 0
    ours._leader = None


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
    assert (group._queue, group._leader) == ([], None)
    assert group.insert(Item("next"), None) == "next"


@together
@pytest.mark.django_db(transaction=True)
def test_deliveries_at_the_same_moment_share_a_transaction(monkeypatch):
    sizes, write = [], group_commit.insert

    def insert_slowly(news, alias, deadline):
        news = list(news)
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
    until = Deadline.after(30)
    while not sizes or len(group_commit.group_of("default")._queue) < 6 - sizes[0]:
        assert until.remaining > 0
        time.sleep(0.001)
    all_wait.set()
    for thread in threads:
        thread.join(30)
    assert answers == [b"recorded\n"] * 6
    assert len(sizes) <= 2
    assert sum(sizes) == 6
    assert Event.objects.count() == Delivery.objects.count() == 6
    assert ChangedField.objects.count() == 18


@together
@pytest.mark.django_db(transaction=True)
def test_one_that_the_database_refuses_costs_the_others_nothing(monkeypatch):
    write = group_commit.insert

    def refuse(news, alias, deadline):
        news = list(news)
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
def test_who_has_begun_a_transaction_writes_for_nobody_else(monkeypatch):
    """Others would be told that they are stored, and it may be taken back."""
    leads = []

    def insert_and_note(news, alias, deadline):
        leads.append(threading.get_ident())
        return insert(news, alias, deadline)

    monkeypatch.setattr(group_commit, "insert", insert_and_note)

    def deliver_and_take_back():
        try:
            Delivery.objects.count()
            connections["default"].set_autocommit(False)
            post(body(PrimaryKey=1))
            connections["default"].rollback()
        finally:
            connections.close_all()

    thread = threading.Thread(target=deliver_and_take_back)
    thread.start()
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
