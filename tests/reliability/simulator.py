"""A SuperOffice: posts events, tries three times, switches the webhook off, keeps a journal."""

import heapq
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from superoffice_hooks.wire.signature import sign
from tests.reliability.bodies import Wire, registration
from tests.reliability.journal import Journal
from tests.reliability.post import Answer, Connection

WAITS = (0.0, 1.0, 4.0)  # seconds before each attempt of a cycle
MAX_FAILURES = 9


class Counting(Enum):
    """What SuperOffice's pages may mean by nine failures in a row."""

    ATTEMPTS = "attempts"  # nine attempts, whichever events they belong to
    DISCARDED = "discarded"  # three cycles of three: three events given up


@dataclass
class Switch:
    """Whether the webhook is on; a success makes all failures forgotten."""

    counting: Counting
    is_on: bool = False
    failures: int = 0

    def start(self) -> None:
        """Switch it on, with nothing to hold against it."""
        self.is_on, self.failures = True, 0

    def succeeded(self) -> None:
        """An attempt was answered 200."""
        self.failures = 0

    def failed(self, *, gone: bool = False, last: bool = False) -> bool:
        """An attempt was not, ``last`` if it was its event's third; return whether that was it.

        ``gone`` is the answer 410, which switches off at once.
        """
        if self.counting is Counting.ATTEMPTS:
            self.failures += 1
        elif last:
            self.failures += len(WAITS)
        if self.is_on and (gone or self.failures >= MAX_FAILURES):
            self.is_on = False
            return True
        return False


class RegistrationError(Exception):
    """The test event was not answered 200."""


@dataclass
class Figures:
    """What the sender saw."""

    posts: int = 0
    accepted: int = 0  # deliveries answered 200, copies counted
    discarded: int = 0
    disabled: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    began: float = field(default_factory=time.perf_counter)
    took: float = 0.0

    @property
    def failures(self) -> int:
        """How many attempts were answered otherwise than 200, or not at all."""
        return self.posts - self.statuses[200]

    @property
    def rate(self) -> float:
        """Posts per second."""
        return self.posts / max(self.took, 1e-6)

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent of all posts were answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


@dataclass(order=True)
class _Attempt:
    due: float
    number: int
    wire: Wire = field(compare=False)
    retry: int = field(compare=False, default=0)


class SuperOffice:
    """Sends what it is given, ``in_flight`` at a time, or ``rate`` a second where that is less.

    ``patience`` scales the waits between the attempts, for short runs. When nine failures have
    switched the webhook off, it sends nothing more; a ``persevering`` one is registered again by
    its administrator at once, and goes on.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        journal: Journal,
        *,
        seed: int = 0,
        in_flight: int = 8,
        rate: float = 0.0,
        patience: float = 1.0,
        counting: Counting = Counting.ATTEMPTS,
        timeout: float = 10.0,
        persevering: bool = False,
    ) -> None:
        self.url, self.secret, self.journal = url, secret, journal
        self.seed, self.in_flight, self.rate = seed, in_flight, rate
        self.waits = [seconds * patience for seconds in WAITS]
        self.timeout, self.persevering = timeout, persevering
        self.switch = Switch(counting)
        self.figures = Figures()
        self._is_stopping = False
        self._lock = threading.Condition()
        self._registrations = 0
        self._busy = 0
        self._begun = 0.0
        self._handed_out = 0
        self._retries: list[_Attempt] = []
        self._new: Iterator[Wire] | None = iter(())

    def register(self, tries: int = 1) -> Self:
        """Post the test event and switch the webhook on; raise ``RegistrationError`` else."""
        connection = Connection(self.url, self.timeout)
        try:
            for left in reversed(range(tries)):
                self._registrations += 1
                wire = registration(self.seed, self._registrations)
                answer = self._post(connection, wire, 0, {"X-Hook-Test": "true"})
                if answer.status == 200:
                    break
                if left:
                    time.sleep(0.2)
            else:
                raise RegistrationError(f"{answer.status} {answer.text}")
        finally:
            connection.close()
        self.switch.start()
        self.journal.write("registered")
        return self

    def send(self, events: Iterable[Wire]) -> Figures:
        """Send all events, and return when each was accepted or given up, or it was disabled."""
        self._new, self._begun, self._handed_out = iter(events), time.perf_counter(), 0
        threads = [threading.Thread(target=self._work) for _ in range(self.in_flight)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.figures.took += time.perf_counter() - self._begun
        return self.figures

    def finish(self) -> None:
        """Send nothing new; what waits for a retry still gets it."""
        with self._lock:
            self._new = None
            self._lock.notify_all()

    def stop(self) -> None:
        """Send nothing more, not even what waits for a retry."""
        with self._lock:
            self._is_stopping = True
            self._lock.notify_all()

    def _work(self) -> None:
        connection = Connection(self.url, self.timeout)
        try:
            while (attempt := self._next()) is not None:
                answer = self._post(connection, attempt.wire, attempt.retry, {})
                self._settle(attempt, answer)
        finally:
            connection.close()

    def _next(self) -> _Attempt | None:
        """Wait for what is due next, a retry before a new event; ``None`` when all is done."""
        with self._lock:
            while self.switch.is_on and not self._is_stopping:
                now = time.perf_counter()
                wait = 1.0
                if self._retries:
                    if self._retries[0].due <= now:
                        self._busy += 1
                        return heapq.heappop(self._retries)
                    wait = self._retries[0].due - now
                if self._new is not None:
                    due = self._begun + (self._handed_out / self.rate if self.rate else 0.0)
                    if due <= now:
                        wire = next(self._new, None)
                        if wire is not None:
                            self._handed_out += 1
                            self._busy += 1
                            return _Attempt(now, self._handed_out, wire)
                        self._new = None
                        continue
                    wait = min(wait, due - now)
                elif not self._retries and not self._busy:
                    break
                self._lock.wait(wait)
            self._lock.notify_all()
            return None

    def _post(
        self, connection: Connection, wire: Wire, retry: int, headers: dict[str, str]
    ) -> Answer:
        sent = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "NetServer-Webhook/8.8.6684.1719",
            "X-SuperOffice-EventId": wire.event_id,
            "X-SuperOffice-Retry": str(retry),
            "X-SuperOffice-Signature": sign(wire.body, self.secret),
        }
        answer = connection.post(wire.body, sent | headers)
        outcome = answer.text.partition(":")[0]
        self.journal.write(
            "post",
            event_id=wire.event_id,
            sha256=wire.sha256,
            retry=retry,
            status=answer.status,
            answer=outcome if answer.status in (0, 200) else answer.text[:120],
            seconds=round(answer.seconds, 5),
        )
        return answer

    def _settle(self, attempt: _Attempt, answer: Answer) -> None:
        with self._lock:
            self._busy -= 1
            figures = self.figures
            figures.posts += 1
            figures.statuses[answer.status] += 1
            figures.seconds.append(answer.seconds)
            disabled = False
            if answer.status == 200:
                figures.accepted += 1
                figures.answers[answer.text.partition(":")[0]] += 1
                self.switch.succeeded()
            else:
                last = attempt.retry + 1 == len(self.waits)
                disabled = self.switch.failed(gone=answer.status == 410, last=last)
                if last:
                    figures.discarded += 1
                    self.journal.write("discarded", event_id=attempt.wire.event_id)
                else:
                    attempt.retry += 1
                    attempt.due = time.perf_counter() + self.waits[attempt.retry]
                    heapq.heappush(self._retries, attempt)
            if disabled:
                figures.disabled += 1
                self.journal.write("disabled")
                if self.persevering:
                    self.register(tries=300)
            # One other worker at most has something new to do, unless this was the end of all.
            if disabled or (self._new is None and not self._busy and not self._retries):
                self._lock.notify_all()
            elif answer.status != 200:
                self._lock.notify()
