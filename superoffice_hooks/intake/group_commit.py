"""Deliveries that arrive together are written together: by one transaction, and one flush to disk.

Whoever comes first writes, on its own connection, what waits when the database can take it; those
that come later are written together by the next. There is no thread of its own, and a delivery that
comes alone is written alone. Nothing waits for company; but whoever would write less than a few
gives way first to the threads that are at work already, because one message for four deliveries
costs both sides half of what four messages do. Nobody is told anything before the commit. Whatever
goes wrong, each can still be written by itself: so nobody waits for its turn, or for the database,
for longer than half of its time.
"""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from django.db import DatabaseError, OperationalError, connections
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.intake.deadline import GRACE, Deadline
from superoffice_hooks.intake.insert import NewEvent, insert
from superoffice_hooks.models import Delivery

MOST: Final = 64  # deliveries in one transaction
FEW: Final = 3  # deliveries for which whoever writes gives way to threads that are at work
BRIEF: Final = 0.002  # seconds after which whoever writes does not give way once more
TOGETHER: Final = 0.7  # seconds for one transaction of those that have no deadline
AT_LAST: Final = 5.0  # seconds after which whoever writes for them must have been interrupted


class _Waiting:
    """A delivery in the queue, and what is to become of it."""

    __slots__ = ("deadline", "delivery", "error", "new", "soon", "woken")

    def __init__(self, new: NewEvent, deadline: Deadline | None) -> None:
        self.new, self.deadline = new, deadline
        self.soon = Deadline.after(TOGETHER if deadline is None else deadline.remaining / 2)
        self.woken = threading.Event()
        self.delivery: Delivery | None = None
        self.error: BaseException | None = None


class GroupCommit:
    """The queue of one database in this process."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._leader: _Waiting | None = None

    @sensitive_variables()
    def insert(self, new: NewEvent, deadline: Deadline | None) -> Delivery | None:
        """Store a delivery, perhaps with others; ``None`` where it is neither new nor a copy.

        Raises ``django.db.DatabaseError`` where that failed, and ``OperationalError`` where the
        database did not answer; as after a lost connection, it may be stored all the same.
        """
        mine = _Waiting(new, deadline)
        try:
            with self._lock:
                self._queue.append(mine)
                if self._leader is None:
                    self._leader = mine
            if self._leader is not mine:
                self._wait(mine)
            if self._leader is mine:
                self._lead(mine)
        except BaseException:
            self._leave(mine)
            raise
        if mine.error is not None:
            kind = OperationalError if isinstance(mine.error, OperationalError) else DatabaseError
            raise kind("Deliveries could not be stored together.") from mine.error
        return mine.delivery

    def _wait(self, mine: _Waiting) -> None:
        """Wait to be written by another, or for the turn to write."""
        if mine.woken.wait(mine.soon.remaining):
            return
        with self._lock:
            if self._leader is mine:
                return
            if mine in self._queue:
                self._queue.remove(mine)
                raise DatabaseError("Nobody has written it so far.")
        # Another is writing it.
        if not mine.woken.wait(mine.deadline.remaining + GRACE if mine.deadline else AT_LAST):
            raise OperationalError("Nobody could write it in time.")

    @sensitive_variables()
    def _lead(self, mine: _Waiting) -> None:
        """Write what waits, the own delivery among it, and give the turn to the next."""
        batch: list[_Waiting] = []
        stored: dict[int, Delivery] = {}
        error: BaseException | None = None
        try:
            self._give_way()
            stored = insert(self._take(batch), self._alias, mine.soon)
        except Exception as failure:  # each tries alone then, and tells what it is
            error = mine.error = failure
        except BaseException as failure:
            error = failure
            raise
        finally:
            for place, waiting in enumerate(batch):
                waiting.delivery, waiting.error = stored.get(place), error
                if waiting is not mine:
                    waiting.woken.set()
            self._leave(mine)

    def _give_way(self) -> None:
        """Let threads that are at work go first, and no second time after a long first.

        One that computes, as for a page, keeps the turn for 5 ms or a few times that.
        """
        began = time.monotonic()
        for _ in range(FEW - len(self._queue)):
            time.sleep(0)  # returns when another thread has to wait, or at once
            if time.monotonic() - began > BRIEF:
                return

    def _take(self, batch: list[_Waiting]) -> Iterator[NewEvent]:
        """Take what waits into the batch when the first is asked for: when it can be written."""
        with self._lock:
            batch[:], self._queue = self._queue[:MOST], self._queue[MOST:]
        for waiting in batch:
            yield waiting.new

    def _leave(self, mine: _Waiting) -> None:
        """Be neither in the queue nor at its head, and wake the next to write, if one waits."""
        with self._lock:
            if mine in self._queue:
                self._queue.remove(mine)
            if self._leader is not mine:
                return
            # Of the next batch the one with the most time: its time is that of them all.
            self._leader = max(
                self._queue[:MOST], key=lambda waiting: waiting.soon.at, default=None
            )
            if self._leader is not None:
                self._leader.woken.set()


_groups: Final[dict[tuple[str, Any], GroupCommit]] = {}
# Whoever was writing in the parent is not there to wake anybody in the child.
getattr(os, "register_at_fork", dict)(after_in_child=_groups.clear)  # Windows knows no forks


def group_of(alias: str) -> GroupCommit:
    """Return the queue of those whose deliveries go where this thread's would go."""
    # django-tenants has one alias for all schemas, and says here which one it is.
    schema = getattr(connections[alias], "schema_name", None)
    return _groups.setdefault((alias, schema), GroupCommit(alias))
