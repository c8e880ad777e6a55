"""A bounded sample of what was refused, so that a mistyped secret costs time and no events.

Whoever knows an endpoint's URL can post to it. So the sample of an endpoint never holds more
than its bounds, what can never be verified has a small part of it, and once it is full a refused
post costs no query but for one in ten seconds.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import takewhile
from typing import Final

from django.db import router
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Length
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import RefusedSample, conf
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import Deadline, breaker, transaction_within
from superoffice_hooks.intake.rows import Row, keep
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.models.delivery import DeliveryQuerySet

logger = logging.getLogger("superoffice_hooks.intake")

TRIES: Final = 3  # of one delivery
FAILURES: Final = 9  # in a row, and SuperOffice switches the webhook off
LOOK_BACK: Final = timedelta(hours=1)
SMALL_PART: Final = 10  # a tenth: of the bounds for the hopeless, of the bytes for one body
MAX_HEADERS_LENGTH: Final = 4_096  # characters; the bound on bytes counts bodies

REPLACE_EVERY: Final = 10.0  # seconds in which one process keeps one post in a full sample
REST: Final = 2.0  # seconds without another attempt after one that failed
SAME: Final = 60.0  # seconds in which the same delivery is known; SuperOffice tries for five
MAX_REMEMBERED: Final = 1_000
MAX_DELETED: Final = 1_000  # rows that one trim removes; the next goes on

SIGNATURE_LENGTH: Final = 44  # base64 of 32 bytes; what is shorter was given by no secret


@sensitive_variables()
def sample(arrival: Arrival, reason: str) -> None:
    """Keep a delivery that was refused for this reason, if there is room for it; never raises.

    The bounds are those of ``REFUSED_SAMPLE``, for each endpoint. Until they are reached every
    delivery is kept, and afterwards one in ten seconds and process, in the place of the oldest.
    What carries no signature, or one too short to be any, can never be verified: it has a tenth of
    the room, and gives way to the others. What SuperOffice sends again is kept once. A body of a
    tenth of the bytes is not kept. Each that is kept sounds ``Alarm.REFUSED``.
    """
    try:
        _sample(arrival, reason)
    except Exception as error:
        # Without the traceback: its frames hold the values, and a report would show them.
        turnstile.rest()
        logger.error(
            "A refused delivery to endpoint %r could not be kept: %s",
            arrival.endpoint,
            type(error).__name__,
        )


@sensitive_variables()
def _sample(arrival: Arrival, reason: str) -> None:
    bounds = conf.refused_sample
    kind = arrival.endpoint, len(arrival.signature) >= SIGNATURE_LENGTH
    size = len(arrival.body) + 1  # as it is stored, at most
    if not _has_room(bounds, size, kind[1]):
        sound(
            Alarm.REFUSED,
            arrival.endpoint,
            f"Refused at endpoint {arrival.endpoint!r}, and not kept: the bounds of REFUSED_SAMPLE "
            f"have no room for it ({reason.rstrip('.')}).",
        )
        return
    if breaker.rests or not turnstile.lets(kind) or turnstile.knows(arrival):
        return
    arrival = replace(arrival, headers=_short(arrival.headers))
    row = RefusedRow(arrival, conf.store_timeout)
    keep(arrival, Outcome.REFUSED, reason, row=row)
    breaker.reset()
    turnstile.remember(arrival)
    if not row.is_new:
        return
    alias = router.db_for_write(Delivery)
    # After the commit, so that of any number at once the last to trim sees the rows of all.
    with transaction_within(Deadline.after(conf.store_timeout), alias):
        full = _trim(arrival.endpoint, bounds, alias)
        failures = _in_a_row(arrival.endpoint, alias)
    turnstile.close(kind, full)
    sound(
        Alarm.REFUSED,
        arrival.endpoint,
        f"Refused at endpoint {arrival.endpoint!r}: {failures} in a row, each up to {TRIES} of the "
        f"{FAILURES} failures after which SuperOffice switches the webhook off, so up to "
        f"{min(FAILURES, TRIES * failures)} of {FAILURES}, if the posts are its own "
        f"({reason.rstrip('.')}); "
        "give SuperOffice and the settings the same secret, start the server again, then type: "
        "python manage.py superoffice_verify --dry-run",
        severity=failures,
    )


class RefusedRow(Row):
    """A row of its own, unless the same delivery was refused and kept before."""

    is_plain = False

    def __init__(self, arrival: Arrival, seconds: float) -> None:
        super().__init__(seconds)
        self.arrival = arrival
        self.is_new = False

    @sensitive_variables()
    def claim(self, alias: str) -> Delivery | None:
        """Return the delivery as it was kept when SuperOffice sent it before."""
        same = {"signature": self.arrival.signature, "body": self.arrival.body}
        return _refused(self.arrival.endpoint, alias).filter(**same).only("pk").first()

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Store the delivery, and return it."""
        self.is_new = True
        return super().write(arrival, outcome, reason, event, alias)


class Turnstile:
    """What this process remembers of the samples, so that most refused posts cost no query."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._closed_until: dict[tuple[str, bool], float] = {}
        self._known_until: dict[bytes, float] = {}

    def lets(self, kind: tuple[str, bool]) -> bool:
        """Whether a post of this kind should be kept; one in ten seconds where it is full.

        A kind is the endpoint, and whether some secret may fit the signature.
        """
        now = time.monotonic()
        with self._lock:
            until = self._closed_until.get(kind)
            if now < self._rests_until or (until is not None and now < until):
                return False
            if until is not None:
                self._closed_until[kind] = now + REPLACE_EVERY
            return True

    def close(self, kind: tuple[str, bool], full: set[bool]) -> None:
        """Remember for which kinds the sample is full, after one of this kind was kept.

        The other kind, once closed, opens by the clock alone: else they would open for each other.
        """
        endpoint, ours = kind
        with self._lock:
            if len(self._closed_until) >= MAX_REMEMBERED:
                self._closed_until.clear()
            for may_fit in (True, False):
                if may_fit in full:
                    self._closed_until[endpoint, may_fit] = time.monotonic() + REPLACE_EVERY
                elif may_fit == ours:
                    self._closed_until.pop(kind, None)

    def rest(self) -> None:
        """Keep nothing for a while: the last attempt has failed."""
        with self._lock:
            self._rests_until = time.monotonic() + REST

    @sensitive_variables()
    def knows(self, arrival: Arrival) -> bool:
        """Whether this delivery was kept a moment ago."""
        with self._lock:
            return time.monotonic() < self._known_until.get(_digest(arrival), 0.0)

    @sensitive_variables()
    def remember(self, arrival: Arrival) -> None:
        """Know this delivery for a while."""
        with self._lock:
            if len(self._known_until) >= MAX_REMEMBERED:
                self._known_until.clear()
            self._known_until[_digest(arrival)] = time.monotonic() + SAME


turnstile: Final = Turnstile()


def _has_room(bounds: RefusedSample, size: int, may_fit: bool) -> bool:
    """Whether the bounds let a body of this size in at all."""
    count = bounds.count if may_fit else bounds.count // SMALL_PART
    return count > 0 and bounds.days > 0 and size <= bounds.bytes // SMALL_PART


class Room:
    """What is left of the bounds while a sample is gone through."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def takes(self, size: int, count: int = 1) -> bool:
        """Whether so many bodies of this size together still fit."""
        return count <= self.count and size <= self.size

    def take(self, size: int, count: int = 1) -> None:
        """Give them their place."""
        self.count, self.size = self.count - count, self.size - size


def _trim(endpoint: str, bounds: RefusedSample, alias: str) -> set[bool]:
    """Delete what is beyond the bounds, and return for which kinds the sample is full.

    What some secret may fit comes first, and of either kind the newest. Nothing but refused
    deliveries of this endpoint is ever deleted.
    """
    rows = _refused(endpoint, alias)
    expired = timezone.now() - timedelta(days=bounds.days)
    whole = Room(bounds.count, bounds.bytes)
    part = Room(bounds.count // SMALL_PART, bounds.bytes // SMALL_PART)
    hopeless = Q(signed__lt=SIGNATURE_LENGTH)
    told = rows.annotate(size=Length("body"), signed=Length("signature")).aggregate(
        count=Count("pk"),
        bytes=Sum("size", default=0),
        hopeless_count=Count("pk", filter=hopeless),
        hopeless_bytes=Sum("size", filter=hopeless, default=0),
        oldest=Min("received_at"),
    )
    full: set[bool] = set()
    if (
        whole.takes(told["bytes"], told["count"])
        and part.takes(told["hopeless_bytes"], told["hopeless_count"])
        and (told["oldest"] or expired) >= expired
    ):
        whole.take(told["bytes"], told["count"])
        part.take(told["hopeless_bytes"], told["hopeless_count"])
    else:
        surplus: list[int] = []
        newest = rows.order_by("-pk").values_list(
            Length("signature"), "pk", "received_at", Length("body")
        )
        # Stable: of those that may be verified, and then of the others, still the newest first.
        for signed, pk, received_at, size in sorted(
            newest, key=lambda row: row[0] < SIGNATURE_LENGTH
        ):
            may_fit = signed >= SIGNATURE_LENGTH
            rooms = [whole] if may_fit else [whole, part]
            if received_at < expired:
                surplus.append(pk)
            elif may_fit not in full and all(room.takes(size) for room in rooms):
                for room in rooms:
                    room.take(size)
            else:
                full.add(may_fit)
                surplus.append(pk)
        # What another is trimming, or verifying again, is left to them.
        locked = rows.filter(pk__in=surplus[:MAX_DELETED]).select_for_update(skip_locked=True)
        rows.filter(pk__in=list(locked.values_list("pk", flat=True))).delete()
    if whole.count == 0 and part.count == bounds.count // SMALL_PART:
        full.add(True)
    if min(whole.count, part.count) == 0:
        full.add(False)
    return full


def _in_a_row(endpoint: str, alias: str) -> int:
    """Return how many of the endpoint's last deliveries were refused in a row, nine at most."""
    lately = Delivery.objects.using(alias).filter(
        received_at__gte=timezone.now() - LOOK_BACK, endpoint=endpoint
    )
    outcomes = lately.order_by("-received_at", "-pk").values_list("outcome", flat=True)
    return sum(1 for _ in takewhile(Outcome.REFUSED.__eq__, outcomes[:FAILURES]))


def _refused(endpoint: str, alias: str) -> DeliveryQuerySet:
    return Delivery.objects.using(alias).filter(outcome=Outcome.REFUSED, endpoint=endpoint)


@sensitive_variables()
def _short(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the first of the headers, among them SuperOffice's own."""
    kept, room = {}, MAX_HEADERS_LENGTH
    for name, value in headers.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        kept[name] = value
    return kept


def _digest(arrival: Arrival) -> bytes:
    digest = hashlib.sha256(f"{arrival.endpoint}\0{arrival.signature}\0".encode("utf-8", "replace"))
    digest.update(arrival.body)
    return digest.digest()
