"""From the spool into the database: each delivery once, by whoever comes to it first."""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC
from pathlib import Path
from typing import BinaryIO, Final

from django.core.files import locks
from django.db import DatabaseError, Error, connections, router
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import conf
from superoffice_hooks.exceptions import in_short
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import REST, Deadline, breaker, transaction_within
from superoffice_hooks.intake.insert import LARGE, is_possible
from superoffice_hooks.intake.rows import Row, stored_before
from superoffice_hooks.intake.settle import settle, settle_together
from superoffice_hooks.intake.spool import Spool, SpoolFileError, read
from superoffice_hooks.models import Delivery, Event, Outcome

logger = logging.getLogger("superoffice_hooks.intake")

BATCH: Final = 100  # files that are stored by one transaction
GIVE_UP: Final = 10  # failures in a row after which it may be the database
PATIENCE: Final = 20.0  # seconds for one delivery: nobody waits for it, but a dead line must end
LOOK_EVERY: Final = 10.0  # seconds between two looks for what an earlier process has left
LONGEST_REST: Final = 60.0  # seconds between two attempts of the drainer

DAMAGED: Final = "damaged"
UNFINISHED: Final = "unfinished"
FAILED: Final = "failed"


class SpooledRow(Row):
    """The row of a delivery that was spooled, which an earlier attempt may have written."""

    is_plain = False

    def __init__(self, arrival: Arrival) -> None:
        super().__init__(PATIENCE)
        self.arrival = arrival

    def claim(self, alias: str) -> Delivery | None:
        """Return the delivery if a drain that was killed before it removed the file stored it.

        The database may also have committed it on arrival, and only its answer was late.
        """
        return stored_before(self.arrival, alias)

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Store the delivery with the mark that it was spooled, and until when."""
        before = f"{reason.removesuffix('.')}. " if reason else ""
        return super().write(arrival, outcome, f"{before}{_mark()}", event, alias)


def _mark() -> str:
    now = timezone.now().astimezone(UTC)
    return f"Spooled when it arrived; stored at {now:%Y-%m-%dT%H:%M:%SZ}."


def drain(
    spool: Spool,
    on_each: Callable[[str], None] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Store what waits in the spool, the oldest first, and count what became of it.

    The counter's keys are outcomes, ``damaged`` for files that were set aside, ``unfinished`` for
    what a crash left before its delivery was answered, and ``failed`` for deliveries that stay
    where they are; ``on_each`` is given the same after each file, and ``is_stopped`` asked before
    each batch of them.
    Any number may drain at once: what another is at is passed over. A file is removed after its
    delivery is committed, and a delivery whose file is met again is not stored again.

    Raises ``django.db.DatabaseError`` where the database takes nothing, and ``OSError`` where the
    spool cannot be read.
    """
    counts: Counter[str] = Counter()

    def count(result: str) -> None:
        counts[result] += 1
        if on_each is not None:
            on_each(result)

    failures = alone = 0  # in a row; and how many at the head have to be taken one by one
    waiting = deque(spool.waiting())
    while waiting and not is_stopped():
        if not failures and not alone and is_possible(router.db_for_write(Event)):
            batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
            left = _take_together(batch, count)
            waiting.extendleft(reversed(left))
            alone = len(left)
            continue
        alone = max(0, alone - 1)
        # After some failures the newest are tried: where one succeeds, it is not the database.
        path = waiting.popleft() if failures < GIVE_UP else waiting.pop()
        try:
            result = _take(spool, path)
        except DatabaseError as error:
            failures += 1
            if failures >= 2 * GIVE_UP or not _is_there():
                raise
            result = FAILED
            logger.error("%s could not be stored: %s", path.name, in_short(error))
        except OSError as error:
            result = FAILED
            logger.error("%s could not be drained: %s", path, error.strerror or error)
        except Exception:
            # A mistake of ours must not keep those behind it waiting.
            result = FAILED
            logger.exception("%s could not be stored.", path.name)
        else:
            failures = 0
        if result is not None:
            count(result)
    return counts


@sensitive_variables()
def _take_together(paths: list[Path], count: Callable[[str], None]) -> list[Path]:
    """Store several files' deliveries by one transaction; return those to be taken one by one."""
    with ExitStack() as stack:
        taken, left = [], []
        for path in paths:
            try:
                file = _open(path, stack)
                if file is None:
                    continue
                if os.fstat(file.fileno()).st_size > LARGE:
                    left.append(path)
                    continue
                arrival = read(file.read())
                taken.append((path, arrival))
            except (OSError, SpoolFileError):  # what is wrong is told where it is taken alone
                left.append(path)
        try:
            names = {arrival.endpoint for _, arrival in taken}
            endpoints = {name: conf.endpoint(name) for name in names}
            settled = settle_together(
                [(arrival, endpoints[arrival.endpoint]) for _, arrival in taken],
                _mark(),
                Deadline.after(PATIENCE),
            )
        except DatabaseError as error:
            # One of them may be to blame for all.
            logger.info("Storing deliveries together failed: %s", type(error).__name__)
            return paths
        except Exception:
            logger.exception("Deliveries cannot be stored together, but one by one.")
            return paths
        for (path, _), delivery in zip(taken, settled, strict=True):
            if delivery is None:
                left.append(path)
                continue
            try:
                path.unlink()
            except OSError:
                left.append(path)
            else:
                count(str(delivery.outcome))
        return sorted(left, key=lambda path: path.name)


def _open(path: Path, stack: ExitStack) -> BinaryIO | None:
    """Open and lock a file until the stack ends; ``None`` where another is at it, or was."""
    try:
        file = stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None
    if not locks.lock(file, locks.LOCK_EX | locks.LOCK_NB):
        return None
    # Without a name it was removed: the other had finished.
    return file if os.fstat(file.fileno()).st_nlink else None


@sensitive_variables()
def _take(spool: Spool, path: Path) -> str | None:
    """Store one file's delivery and remove the file; ``None`` where another is at it."""
    with ExitStack() as stack:
        file = _open(path, stack)
        if file is None:
            return None
        try:
            arrival = read(file.read())
        except SpoolFileError as error:
            aside = spool.set_aside(path)
            if path.parent == spool.tmp:
                logger.warning("%s was never finished, nor its delivery answered 200.", aside)
                return UNFINISHED
            sound(Alarm.SPOOL_DAMAGED, path.name, f"{aside} could not be drained: {error}")
            return DAMAGED
        delivery = settle(arrival, conf.endpoint(arrival.endpoint), SpooledRow(arrival))
        path.unlink()
        return str(delivery.outcome)


def _is_there() -> bool:
    """Whether the database answers at all."""
    alias = router.db_for_write(Delivery)
    connections[alias].close_if_unusable_or_obsolete()
    try:
        with (
            transaction_within(Deadline.after(conf.store_timeout), alias),
            connections[alias].cursor() as cursor,
        ):
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


class Drainer:
    """Empties the spool in the background of a process that spools, when the database is back.

    One thread, which lives while there is something to drain. ``superoffice_drain --watch`` does
    the same where a server gives its workers no threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped, self._is_back = threading.Event(), threading.Event()
        self._is_away = False
        self._looked = -LOOK_EVERY

    def start(self, spool: Spool) -> None:
        """Drain in the background from now on until the spool is empty."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stopped.clear()
            self._is_back.clear()
            self._thread = threading.Thread(
                target=self._run, args=(spool,), name="superoffice_hooks-drain", daemon=True
            )
            # Nothing that goes wrong here may cost a delivery that is safe already its 200.
            with suppress(RuntimeError):  # no more threads; the next delivery tries again
                self._thread.start()

    def look(self, folder: Path) -> None:
        """Start where something waits, as after a restart, now that the database takes deliveries.

        ``folder`` is the spool's. A drainer that rests is woken; otherwise it looks now and then.
        """
        if self._is_away:
            self._is_back.set()
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        spool = Spool(folder)
        with suppress(OSError):  # ``superoffice_doctor`` tells of a folder that cannot be read
            if not spool.is_empty():
                self.start(spool)

    def stop(self) -> None:
        """End the thread, after the files that it is at."""
        self._stopped.set()
        self._is_back.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            thread.join()

    def _run(self, spool: Spool) -> None:
        rest = REST
        try:
            while not self._rests(rest) and not self._ends(spool):
                rest = REST if self._drain(spool) else min(2 * rest, LONGEST_REST)
        finally:
            connections.close_all()

    def _rests(self, seconds: float) -> bool:
        """Wait so long, or until the database is back; return whether it is stopped."""
        self._stopped.wait(REST)
        self._is_back.wait(seconds - REST)
        self._is_back.clear()
        return self._stopped.is_set()

    def _ends(self, spool: Spool) -> bool:
        """Whether nothing is left; decided together with ``start``, which then starts another."""
        with self._lock, suppress(OSError):  # what cannot be read now is asked again
            if spool.is_empty():
                self._thread = None
        return self._thread is not threading.current_thread()

    def _drain(self, spool: Spool) -> bool:
        """Whether something was stored."""
        try:
            counts = drain(spool, is_stopped=self._stopped.is_set)
            self._is_away = False
        except (DatabaseError, OSError) as error:
            self._is_away = True
            logger.info("The spool cannot be drained yet: %s", in_short(error))
            return False
        finally:
            connections.close_all()
        stored = counts.total() - counts[FAILED] - counts[DAMAGED] - counts[UNFINISHED]
        if stored:
            breaker.reset()
            # As loud as the alarm was: it is over.
            logger.warning("Drained from the spool: %s", dict(counts))
        return stored > 0


drainer: Final = Drainer()
