"""How long the database may take for one delivery, and who is spared the wait.

SuperOffice waits a few seconds and asks three times; a database that hangs must cost a delivery
less than that. The server is told to give up in time, and where nothing comes back from it the
connection is severed. After a failure, ``breaker`` spares the next deliveries the attempt.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from sqlite3 import SQLITE_BUSY
from typing import Any, Final, NamedTuple

from django.db import Error, OperationalError, connections, transaction

GRACE: Final = 0.2  # seconds that the server has to say itself that the time is up
TICK: Final = 0.05  # seconds between two looks at the clock
CONNECT_TIMEOUT: Final = 2  # seconds, where the site sets none; psycopg takes no less
ATTEMPT: Final = 5  # milliseconds of each attempt to become SQLite's only writer
REST: Final = 2.0  # seconds in which a database that has failed is left alone
TRIAL: Final = 10.0  # seconds in which nobody else tries while one does


class Deadline(NamedTuple):
    """A moment on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the moment in so many seconds."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """The seconds until then; negative when it has passed."""
        return self.at - time.monotonic()


@contextmanager
def transaction_within(deadline: Deadline | None, alias: str) -> Iterator[None]:
    """Hold one durable transaction, which fails where it has not committed by the deadline.

    Raises ``django.db.OperationalError`` then; whether a commit under way reached the database is
    unknown, as after a lost connection. ``None`` is no deadline.
    """
    with ExitStack() as stack:
        line = None
        if deadline is not None:
            line = stack.enter_context(_limits(connections[alias], deadline))
        _begin(stack, deadline, alias)
        try:
            limit = _TRANSACTION_LIMITS.get(connections[alias].vendor)
            if deadline is not None and limit is not None:
                limit(connections[alias], deadline)
            yield
        except BaseException:
            if line is not None and line.is_severed:
                # Here, and not after the transaction: there Django would open another.
                connections[alias].close()
            raise


def _begin(stack: ExitStack, deadline: Deadline | None, alias: str) -> None:
    """Begin the transaction; on SQLite as soon as no other writes, asking until the deadline."""
    if deadline is None or connections[alias].vendor != "sqlite":
        stack.enter_context(transaction.atomic(using=alias, durable=True))
        return
    # One thread asks: several would keep the one that writes from running.
    asking = _asking.setdefault(alias, threading.RLock())
    try:
        if not asking.acquire(timeout=max(0.0, deadline.remaining)):
            raise OperationalError("Others of this process wait to write: database is locked")
        while True:
            try:
                stack.enter_context(transaction.atomic(using=alias, durable=True))
            except OperationalError as error:
                code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF  # without the details
                if code != SQLITE_BUSY or deadline.remaining <= 0:
                    raise
            else:
                return
    finally:
        # Whoever was interrupted has it or not; the lock knows.
        with suppress(RuntimeError):
            asking.release()


_asking: Final[dict[str, threading.RLock]] = {}
# Whoever asks in the parent is not there to let go in the child.
getattr(os, "register_at_fork", dict)(after_in_child=_asking.clear)  # Windows knows no forks


@contextmanager
def message_within(deadline: Deadline | None, alias: str) -> Iterator[str]:
    """Watch over one message to PostgreSQL, and yield the statements that it has to begin with.

    The message is a whole transaction, and fails as ``transaction_within`` says.
    """
    if deadline is None:
        yield ""
        return
    with _limits(connections[alias], deadline) as line:
        try:
            yield f"SET LOCAL statement_timeout = {_milliseconds(deadline)};"
        except BaseException:
            if line.is_severed:
                connections[alias].close()
            raise


@contextmanager
def _limits(connection: Any, deadline: Deadline) -> Iterator["Line"]:
    """Bound what the connection waits for; afterwards it is as it was, or closed."""
    if deadline.remaining <= 0:
        raise OperationalError("No time is left for another attempt.")
    with _connecting_in_time(connection):
        connection.ensure_connection()
        if connection.health_check_enabled and not connection.health_check_done:
            with _watchdog.over(connection, deadline):
                connection.close_if_health_check_failed()
            connection.ensure_connection()
        with _watchdog.over(connection, deadline) as line:
            limits = _SESSION_LIMITS.get(connection.vendor)
            undo = limits(connection, deadline) if limits else None
            try:
                yield line
            finally:
                if undo is not None and connection.connection is not None:
                    _take_back(connection, undo)


def _take_back(connection: Any, undo: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(undo)
    except Error:
        connection.close()


@contextmanager
def _connecting_in_time(connection: Any) -> Iterator[None]:
    """Give up on a host that does not take connections, also where Django connects again.

    The watchdog cannot: there is no connection yet that it could sever.
    """
    site = connection.settings_dict
    if connection.vendor in ("postgresql", "mysql"):
        options = {"connect_timeout": CONNECT_TIMEOUT, **site["OPTIONS"]}
        connection.settings_dict = {**site, "OPTIONS": options}
    try:
        yield
    finally:
        connection.settings_dict = site


def _limit_transaction(connection: Any, deadline: Deadline) -> None:
    """PostgreSQL: bound each statement of this transaction, and its waiting for locks."""
    left = _milliseconds(deadline)
    with connection.cursor() as cursor:
        # One statement: a connection that binds or prepares on the server takes no two at once.
        cursor.execute(
            f"SELECT set_config('statement_timeout', '{left}', true),"
            f" set_config('lock_timeout', '{left}', true)"
        )


def _milliseconds(deadline: Deadline) -> int:
    return max(1, math.ceil(deadline.remaining * 1000))


def _limit_mysql(connection: Any, deadline: Deadline) -> str:
    """Bound each statement (MariaDB only) and the waiting for rows; return what undoes it."""
    names = {"innodb_lock_wait_timeout": f"{max(1, math.ceil(deadline.remaining))}"}
    if connection.mysql_is_mariadb:
        names["max_statement_time"] = f"{max(0.001, deadline.remaining):.3f}"
    keep = [f"@superoffice_{name} = @@{name}" for name in names]
    with connection.cursor() as cursor:
        cursor.execute(f"SET {', '.join(keep + [f'{name} = {to}' for name, to in names.items()])}")
    return f"SET {', '.join(f'{name} = @superoffice_{name}' for name in names)}"


def _limit_sqlite(connection: Any, deadline: Deadline) -> str:
    """Bound one attempt to become the only writer; return what undoes it.

    SQLite looks after 1, 3, 8, 18 ms and so on, at last each tenth of a second: who has waited for
    long comes between two others only by chance. Asked anew, it begins with 1 ms.
    """
    with connection.cursor() as cursor:
        [before] = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {ATTEMPT}")
    return f"PRAGMA busy_timeout = {before}"


def _limit_sqlite_transaction(connection: Any, deadline: Deadline) -> None:
    """Bound what it waits for where BEGIN was not IMMEDIATE, or the journal is not WAL."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {_milliseconds(deadline)}")


_SESSION_LIMITS: Final[dict[str, Callable[[Any, Deadline], str]]] = {
    "mysql": _limit_mysql,
    "sqlite": _limit_sqlite,
}
_TRANSACTION_LIMITS: Final[dict[str, Callable[[Any, Deadline], None]]] = {
    "postgresql": _limit_transaction,
    "sqlite": _limit_sqlite_transaction,
}


class Line:
    """An open connection to the database, which another thread can sever."""

    def __init__(self, connection: Any, stack: ExitStack) -> None:
        self.is_severed = False
        self._raw = connection.connection
        self._socket: socket.socket | None = None
        if connection.vendor != "sqlite":
            # A copy of the descriptor: the connection may close its own, and another take it.
            try:
                copy = os.dup(self._raw.fileno())
            except OSError:
                connection.close()
                raise OperationalError("The connection was lost.") from None
            # Of whatever family it is: asking costs three calls of the system, for each delivery.
            end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, copy)
            self._socket = stack.enter_context(end)

    def sever(self) -> None:
        """End whatever the connection waits for."""
        self.is_severed = True
        if self._socket is None:
            self._raw.interrupt()
        else:
            with suppress(OSError):  # it was closed by the other end meanwhile
                self._socket.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Severs the connections of those that the server leaves without an answer.

    One thread for the process. What it severs fails at once in the thread that waits for it, as
    if the server had gone. The opening of a connection has a timeout of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy, self._pause = threading.Event(), threading.Event()
        self._watched: dict[Line, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, connection: Any, deadline: Deadline) -> Iterator[Line]:
        """Watch this open connection until the deadline or the end of the block."""
        with ExitStack() as stack:
            line = Line(connection, stack)
            with self._lock:
                if self._thread is None or not self._thread.is_alive():  # the first, or forked
                    self._thread = threading.Thread(
                        target=self._watch, name="superoffice_hooks-deadline", daemon=True
                    )
                    self._thread.start()
                self._watched[line] = deadline.at + GRACE
                if not self._busy.is_set():
                    self._busy.set()
            try:
                yield line
            finally:
                with self._lock:
                    self._watched.pop(line, None)

    def _watch(self) -> None:
        while True:
            self._busy.wait()
            self._pause.wait(TICK)  # most are gone by then: it need not run for each
            with self._lock:
                if not self._watched:
                    self._busy.clear()
                    continue
                now = time.monotonic()
                for line in [line for line, at in self._watched.items() if now > at]:
                    del self._watched[line]
                    line.sever()


_watchdog: Final = Watchdog()


class Breaker:
    """Remembers that the database has failed, for this process.

    For ``REST`` seconds nobody asks it; then one delivery tries, and the others go on sparing
    themselves the wait until one has succeeded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last attempt failed."""
        return self._is_open

    @property
    def rests(self) -> bool:
        """Whether the last attempt failed just now."""
        return self._is_open and time.monotonic() < self._until

    def allows(self) -> bool:
        """Whether this delivery should try the database."""
        with self._lock:
            if not self._is_open:
                return True
            if time.monotonic() < self._until:
                return False
            self._until = time.monotonic() + TRIAL
            return True

    def trip(self) -> None:
        """The database has failed."""
        with self._lock:
            self._is_open, self._until = True, time.monotonic() + REST

    def reset(self) -> None:
        """The database has taken something."""
        with self._lock:
            self._is_open = False


breaker: Final = Breaker()
