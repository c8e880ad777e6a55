"""Following the trail: each new event once, although events do not arrive in any order.

What a follower keeps is the id of the last event that it has. Ids are given in order, but their
transactions commit in another: event 7 can become visible after event 8, and who remembers 8 would
never see it. So nothing is handed out before it is **settled**, that is, before no event with a
lower id can appear any more. ``received_at`` is no such mark either: what waited outside the
database keeps the time at which it arrived.
"""

import time
from dataclasses import dataclass

from django.db import OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max

from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet

WINDOW = 10_000  # ids that one batch looks at, so that a rare filter costs no more than a common
PATIENCE = 2  # seconds to wait for transactions that are writing events; they take milliseconds
PAUSE = 0.005  # seconds between two looks at them

_LOCK_WAIT_TIMEOUT = 1205  # MariaDB's code


class UnsettledError(Exception):
    """A transaction that writes events has been open for too long to wait for its end."""

    def __init__(self) -> None:
        super().__init__(
            f"A transaction that writes events has been open for more than {PATIENCE} seconds. "
            "Nothing is lost; ask again."
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The next events in the order of their ids.

    ``last`` is where the following batch begins; it moves on where nothing was selected, too.
    ``more`` says whether there is more to look at already.
    """

    events: tuple[Event, ...]
    last: int
    more: bool


def follow(events: EventQuerySet, after: int, size: int) -> Batch:
    """Return the events of this selection that come after the event with the id ``after``.

    At most ``size`` of them. A follower that begins at 0 and goes on with each batch's ``last``
    gets every event of its selection once. Raises ``UnsettledError`` where that cannot be promised
    now, and ``ValueError`` where ``after`` is ahead of the trail, as after a restored backup.
    """
    alias = router.db_for_write(Event)  # a replica is late, and does not know who is writing
    top = settled(after)
    if after > top:
        raise ValueError(f"There is no event {after}: the last one is {top}.")
    until = min(top, after + WINDOW)
    within = events.using(alias).filter(pk__gt=after, pk__lte=until)
    found = tuple(within.order_by("pk")[:size])
    last = found[-1].pk if len(found) == size else until
    return Batch(found, last, more=last < top)


def settled(after: int = 0) -> int:
    """Return the id of an event below which no event can appear any more; 0 where there is none.

    Asks the database that is written to, and must not be asked inside of a transaction that reads
    from a snapshot (REPEATABLE READ). Blocks no writer. ``after`` is an id that was settled
    before. Raises ``UnsettledError`` where a transaction that writes events stays open.
    """
    alias = router.db_for_write(Event)
    top = Event.objects.using(alias).aggregate(top=Max("pk"))["top"] or 0
    connection = connections[alias]
    # SQLite has one writer at a time, and gives an id when that has its turn.
    if connection.vendor == "postgresql":
        _wait_for_writers(connection)
    elif connection.vendor == "mysql":
        _wait_for_rows(connection, max(after, top - WINDOW), top)
    return int(top)


def _wait_for_writers(connection: BaseDatabaseWrapper) -> None:
    """Wait until every transaction that writes events now has ended.

    An INSERT locks the table before it takes an id, and the lock goes after the row is visible.
    So whoever has a lower id than one that is visible, and is not visible himself, is among those
    who hold the lock. CREATE INDEX CONCURRENTLY waits in the same way.
    """
    deadline = time.monotonic() + PATIENCE
    table = connection.ops.quote_name(Event._meta.db_table)
    sql = """
        SELECT virtualtransaction FROM pg_locks
        WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = %s::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid IS DISTINCT FROM pg_backend_pid()
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [table])
        writing = set(cursor.fetchall())
        while writing:
            if time.monotonic() > deadline:
                raise UnsettledError
            time.sleep(PAUSE)
            cursor.execute(sql, [table])
            writing &= set(cursor.fetchall())


def _wait_for_rows(connection: BaseDatabaseWrapper, after: int, top: int) -> None:
    """Wait until the rows of these ids are written and committed, or rolled back.

    A locking read waits for the row of whoever has inserted and not committed. Before that there
    is a moment between taking an id and inserting; ten pauses are more than a thread needs.
    """
    time.sleep(10 * PAUSE)
    table = connection.ops.quote_name(Event._meta.db_table)
    # Names come from the model's own metadata; values are parameters.
    sql = f"""
        SET STATEMENT innodb_lock_wait_timeout = {PATIENCE} FOR
        SELECT COUNT(*) FROM {table} WHERE id > %s AND id <= %s LOCK IN SHARE MODE
    """  # noqa: S608
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, [after, top])
    except OperationalError as error:
        if error.args and error.args[0] == _LOCK_WAIT_TIMEOUT:
            raise UnsettledError from error
        raise
