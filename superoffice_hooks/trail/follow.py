"""Following the trail: each new event once, although events do not arrive in any order.

What a follower keeps is the id of the last event that it has. Ids are given in order, but their
transactions commit in another: event 7 can become visible after event 8, and who remembers 8 would
never see it. So nothing is handed out before it is **settled**, that is, before no event with a
lower id can appear any more. ``received_at`` is no such mark either: what waited outside the
database keeps the time at which it arrived.
"""

import time
from typing import NamedTuple

from django.db import OperationalError, connections, router
from django.db.backends.utils import CursorWrapper
from django.db.models import Max, Min, Model, Prefetch, prefetch_related_objects
from django.db.transaction import TransactionManagementError
from django.utils.translation import gettext as _

from superoffice_hooks.models import ChangedField, DeletedValue, Event
from superoffice_hooks.models.event import EventQuerySet

WINDOW = 10_000  # ids that one batch looks at, so that a rare filter costs no more than a common
PATIENCE = 2  # seconds to wait for transactions that are writing events; they take milliseconds
PAUSE = 0.005  # seconds between two looks at them

_LOCK_WAIT_TIMEOUT = 1205  # MariaDB's code


class UnsettledError(Exception):
    """A transaction that writes events has been open for too long to wait for its end."""

    def __init__(self) -> None:
        message = _(
            "A transaction that writes events has been open for more than {seconds} seconds. "
            "Nothing is lost; ask again."
        )
        super().__init__(message.format(seconds=PATIENCE))


class Batch(NamedTuple):
    """The next events in the order of their ids.

    ``last`` is where the following batch begins; it moves on where nothing was selected, too.
    ``more`` says whether there is more to look at already.
    """

    events: tuple[Event, ...]
    last: int
    more: bool


def follow(events: EventQuerySet, after: int, size: int) -> Batch:
    """Return the events of this selection that come after the event with the id ``after``.

    At most ``size`` of them, with their changed fields and deleted values. A follower that begins
    at 0 and goes on with each batch's ``last`` gets every event of its selection once. Raises
    ``UnsettledError`` where that cannot be promised now, ``ValueError`` where ``after`` is ahead
    of the trail, as after a restored backup, and ``TransactionManagementError`` inside of a
    transaction that reads from a snapshot.
    """
    alias = router.db_for_write(Event)  # a replica is late, and does not know who is writing
    top = _top(alias, Event)
    if after > top:
        message = _("There is no event {after}: the last one is {top}.")
        raise ValueError(message.format(after=after, top=top))
    until = top
    if after < top:
        # Where many ids in a row are gone, the window begins behind them.
        beyond = Event.objects.using(alias).filter(pk__gt=after)
        first = beyond.aggregate(first=Min("pk"))["first"] or top
        until = min(top, first - 1 + WINDOW)
        _settle(alias, Event, after, min(until + 1, top))
    within = events.using(alias).filter(pk__gt=after, pk__lte=until)
    found = tuple(within.prefetch_related(None).order_by("pk")[:size])
    # Named again with the database: a router would send these two queries to a replica.
    prefetch_related_objects(
        found,
        Prefetch("changed_fields", ChangedField.objects.using(alias)),
        Prefetch("deleted_values", DeletedValue.objects.using(alias)),
    )
    last = found[-1].pk if len(found) == size else until
    return Batch(found, last, more=last < top)


def settled(model: type[Model] = Event) -> int:
    """Return the id of the last event, once no event can appear below it; 0 where there is none.

    Of another model, such as ``Delivery``, likewise.

    Blocks no writer, and raises as ``follow`` does. On MariaDB it looks at the last ``WINDOW`` ids.
    """
    alias = router.db_for_write(model)
    top = _top(alias, model)
    if top:
        _settle(alias, model, top - WINDOW, top)
    return top


def _top(alias: str, model: type[Model]) -> int:
    """Return the highest id that is visible; lower ones may still be missing."""
    return model._default_manager.using(alias).aggregate(top=Max("pk"))["top"] or 0


def _settle(alias: str, model: type[Model], after: int, before: int) -> None:
    """Wait until no row can appear between these ids that the next query does not see.

    ``before`` is the id of a row that is visible, or lower: so all ids below it are taken.
    """
    connection = connections[alias]
    table = connection.ops.quote_name(model._meta.db_table)
    deadline = time.monotonic() + PATIENCE
    # SQLite has one writer at a time, and gives an id when that has its turn.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            if not connection.get_autocommit():
                cursor.execute("SHOW transaction_isolation")
                _refuse_snapshots(cursor)
            _wait_for_writers(cursor, table, deadline)
    elif connection.vendor == "mysql":
        with connection.cursor() as cursor:
            if not connection.get_autocommit():
                # MariaDB 11.1 gives it another name.
                cursor.execute("SHOW VARIABLES WHERE variable_name LIKE 't%x%isolation'")
                _refuse_snapshots(cursor)
            _wait_for_inserts(cursor, table, deadline)
            _wait_for_rows(cursor, table, after, before)


def _refuse_snapshots(cursor: CursorWrapper) -> None:
    """Raise where the isolation just asked for hides from the next query what is committed now."""
    isolation = str(cursor.fetchone()[-1]).replace("-", " ").lower()
    if isolation not in ("read committed", "read uncommitted"):
        raise TransactionManagementError(
            f"Inside of a transaction with the isolation {isolation} nobody sees what others "
            "commit meanwhile. Follow the trail outside of transactions."
        )


def _wait_for_writers(cursor: CursorWrapper, table: str, deadline: float) -> None:
    """Wait until every transaction that writes events on PostgreSQL now has ended.

    An INSERT locks the table before it takes an id, and the lock goes after the row is visible.
    So whoever has a lower id than one that is visible, and is not visible himself, is among those
    who hold the lock. CREATE INDEX CONCURRENTLY waits in the same way. Who only waits for the
    lock has no id yet. A transaction that is prepared keeps its locks and its name.
    """
    sql = """
        SELECT virtualtransaction FROM pg_locks
        WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
        AND relation = %s::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid IS DISTINCT FROM pg_backend_pid()
    """
    _wait_for(cursor, sql, table, deadline)


def _wait_for_inserts(cursor: CursorWrapper, table: str, deadline: float) -> None:
    """Wait until every statement that inserts events on MariaDB now has ended.

    Within it is a moment in which an id is taken and no row is there yet to be waited for. The
    statements of other database users are seen only with the privilege PROCESS.
    """
    # CONCAT, so that the statement does not find itself.
    sql = """
        SELECT query_id FROM information_schema.processlist
        WHERE db = DATABASE() AND INSTR(info, CONCAT('INSERT INTO ', %s))
    """
    _wait_for(cursor, sql, table, deadline)


def _wait_for_rows(cursor: CursorWrapper, table: str, after: int, before: int) -> None:
    """Wait until the rows between these ids on MariaDB are committed or rolled back.

    A locking read waits for the row of whoever has inserted and not committed. It reads the
    primary key, which an INSERT writes first, and ends at a row that it need not wait for.
    """
    # Names come from the model's own metadata; values are parameters.
    sql = f"""
        SET STATEMENT innodb_lock_wait_timeout = {PATIENCE} FOR
        SELECT COUNT(*) FROM {table} FORCE INDEX (PRIMARY)
        WHERE id > %s AND id < %s LOCK IN SHARE MODE
    """  # noqa: S608
    try:
        cursor.execute(sql, [after, before])
    except OperationalError as error:
        if error.args and error.args[0] == _LOCK_WAIT_TIMEOUT:
            raise UnsettledError from error
        raise


def _wait_for(cursor: CursorWrapper, sql: str, table: str, deadline: float) -> None:
    """Wait until none of those whom this statement finds now is found any more."""
    cursor.execute(sql, [table])
    waiting_for = set(cursor.fetchall())
    while waiting_for:
        if time.monotonic() > deadline:
            raise UnsettledError
        time.sleep(PAUSE)
        cursor.execute(sql, [table])
        waiting_for &= set(cursor.fetchall())
