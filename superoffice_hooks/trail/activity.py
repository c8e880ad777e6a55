"""How much happened in a period: the figures of the overview, each from a bounded reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, TypeVar

from django.db.models import Case, Count, DurationField, F, IntegerField, Max, Q, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from superoffice_hooks.models import Event, Outcome
from superoffice_hooks.models.delivery import RETRY_HEADER, DeliveryQuerySet
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.facets import newest
from superoffice_hooks.trail.people import Associate, People
from superoffice_hooks.trail.scope import contexts_for, deliveries_for, events_for

Rows = TypeVar("Rows", EventQuerySet, DeliveryQuerySet)

MAX_ROWS = 100_000  # events or deliveries that the figures of a period are taken from
MAX_BUCKETS = 62
MAX_DAYS = 366  # of a summary
MAX_BUSIEST = 10  # of the overview
MAX_COUNTED = 100  # of a summary
MAX_SILENT = 200
MAX_RETRIES = 20  # different values of the header
TICK = timedelta(microseconds=1)  # no column tells moments apart that are closer
DELAYS = (
    timedelta(seconds=1),
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, cut into buckets.

    ``edges`` are in UTC: the first is included, the last is not, and those between part the
    buckets. ``is_hourly`` is true where a bucket is an hour, and not a day or several.
    """

    edges: tuple[datetime, ...]
    is_hourly: bool = False

    @property
    def begin(self) -> datetime:
        """The first moment."""
        return self.edges[0]

    @property
    def end(self) -> datetime:
        """The moment at which the period is over."""
        return self.edges[-1]

    @property
    def buckets(self) -> list[tuple[datetime, datetime]]:
        """Where each bucket begins and ends."""
        return list(pairwise(self.edges))

    @classmethod
    def last_hours(cls, number: int) -> "Period":
        """Return the current hour of the reader's clock and those before it, ``number`` in all."""
        now = timezone.now().astimezone(UTC)
        local = timezone.localtime(now)
        # The offset of a zone can have minutes, so that its hours begin at others than UTC's.
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        end = now - past + timedelta(hours=1)
        edges = (end - timedelta(hours=hours) for hours in range(number, -1, -1))
        return cls(tuple(edges), is_hourly=True)

    @classmethod
    def last_days(cls, number: int) -> "Period":
        """Return today in the reader's zone and the days before it, ``number`` in all."""
        today = timezone.localdate()
        return cls.of_days(today - timedelta(days=number - 1), today)

    @classmethod
    def of_days(cls, first: date, last: date) -> "Period":
        """Return the days from the first to the last in the reader's zone, at most 62 buckets.

        A day begins at midnight there, and so it may have 23 or 25 hours.
        """
        days = (last - first).days + 1
        if days < 1:
            raise ValueError("The last day is before the first.")
        width = -(-days // MAX_BUCKETS)
        starts = [first + timedelta(days=day) for day in range(0, days, width)]
        return cls(tuple(midnight(day) for day in (*starts, last + timedelta(days=1))))

    @classmethod
    def between(cls, first: datetime, last: datetime) -> "Period":
        """Return the time from the first moment to the last, both included, cut at each midnight.

        Raises ``ValueError`` for more than 366 days, and where the last is before the first.
        """
        days = (timezone.localdate(last) - timezone.localdate(first)).days
        if last < first or days >= MAX_DAYS:
            raise ValueError(f"A period has at most {MAX_DAYS} days.")
        today = timezone.localdate(first)
        midnights = (midnight(today + timedelta(days=day)) for day in range(1, days + 1))
        inner = (edge for edge in midnights if first < edge <= last)
        return cls((first.astimezone(UTC), *inner, last.astimezone(UTC) + TICK))

    def since(self, moment: datetime | None) -> "Period":
        """Return what is left of the period from this moment on; ``None`` leaves all of it."""
        if moment is None:
            return self
        return replace(self, edges=(moment, *(edge for edge in self.edges if edge > moment)))


@dataclass(frozen=True, slots=True)
class Delays:
    """How long after they occurred events were received.

    ``counts`` has one number for each of ``DELAYS``, of the events that took longer than the one
    before it and no longer than this; ``later`` took longer than any. ``before`` were received
    before they occurred: the clocks differ.
    """

    before: int
    counts: tuple[int, ...]
    later: int
    longest: timedelta | None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many events of a selection there are in a period.

    ``counted`` is the part of the period that the figures cover: of more than 100,000 events, twins
    among them, that of the newest.
    ``actions`` has a count by action for each of its buckets. ``entities``, ``associates`` and
    ``tenants`` are the busiest of each.
    """

    period: Period
    counted: Period
    actions: tuple[Mapping[str, int], ...]
    entities: tuple[tuple[str, int], ...]
    associates: tuple[tuple[Associate, int], ...]
    tenants: tuple[tuple[str, int], ...]

    @property
    def is_cut(self) -> bool:
        """Whether the period holds more events than are counted."""
        return self.counted != self.period

    @property
    def total(self) -> int:
        """The number of events that are counted."""
        return sum(sum(counts.values()) for counts in self.actions)


@dataclass(frozen=True, slots=True)
class Activity(Summary):
    """What happened in a period, as far as the user may see.

    ``silent`` is the newest event of each tenant at any time, of the longest silent first.
    """

    delays: Delays
    silent: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The deliveries that were received in a period, as far as the user may see.

    ``counted`` is the part of the period that the figures cover: the newest 100,000 deliveries.
    ``retries`` counts them by the number of the retry, 0 being the first attempt; what the header
    said instead of a number is under ``None``.
    """

    period: Period
    counted: Period
    outcomes: Mapping[Outcome, int]
    retries: Mapping[int | None, int]

    @property
    def is_cut(self) -> bool:
        """Whether the period holds more deliveries than are counted."""
        return self.counted != self.period

    @property
    def total(self) -> int:
        """The number of deliveries that are counted."""
        return sum(self.outcomes.values())


def midnight(day: date) -> datetime:
    """Return the moment at which this day begins in the reader's zone."""
    zone = timezone.get_current_timezone()
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def activity(period: Period, user: Any) -> Activity:
    """Return what happened in the period, each change once, in ten queries for any number."""
    counted, events = _newest_events(events_for(user), period)
    latest = newest(contexts_for(user))
    return Activity(
        **_figures(period, counted, events, MAX_BUSIEST),
        delays=_delays(events),
        silent=tuple(
            latest.defer("field_values", "properties").order_by("occurred_at", "id")[:MAX_SILENT]
        ),
    )


def summary(period: Period, events: EventQuerySet, *, twins_too: bool = False) -> Summary:
    """Return how many of these events happened in the period, in five queries for any number."""
    counted, events = _newest_events(events, period, twins_too=twins_too)
    return Summary(**_figures(period, counted, events, MAX_COUNTED))


def arrivals(period: Period, user: Any) -> Arrivals:
    """Return what was received in the period, in three queries for any number of deliveries."""
    counted, deliveries = _newest_rows(deliveries_for(user), "received_at", period)
    outcomes = dict(_counts(deliveries, "outcome"))
    return Arrivals(
        period=period,
        counted=counted,
        outcomes={outcome: outcomes.get(outcome.value, 0) for outcome in Outcome},
        retries=_retries(deliveries, sum(outcomes.values())),
    )


def _figures(period: Period, counted: Period, events: EventQuerySet, most: int) -> dict[str, Any]:
    who = _busiest(events, most, "context_identifier", "changed_by_associate_id")
    people = People()
    return {
        "period": period,
        "counted": counted,
        "actions": _by_action(events, counted),
        "entities": tuple(_busiest(events, most, "entity")),
        "associates": tuple((people(context, key), number) for context, key, number in who),
        "tenants": tuple(_busiest(events, most, "context_identifier")),
    }


def _newest_events(
    events: EventQuerySet, period: Period, *, twins_too: bool = False
) -> tuple[Period, EventQuerySet]:
    # Twins are left out last: an index tells how many events there are, and not which are twins.
    counted, newest = _newest_rows(events, "occurred_at", period)
    return counted, newest if twins_too else newest.once()


def _newest_rows(rows: Rows, field: str, period: Period) -> tuple[Period, Rows]:
    """Return the newest rows of the period, no more than may be read, and the time they span."""
    within = rows.filter(**{f"{field}__gte": period.begin, f"{field}__lt": period.end})
    moments = within.order_by(f"-{field}", "-id").values_list(field, flat=True)
    too_old = list(moments[MAX_ROWS : MAX_ROWS + 1])
    if not too_old:
        return period, within
    # Later than that moment, not from it on: any number of rows can have the same time.
    begin = min(too_old[0], period.end - 2 * TICK) + TICK
    return period.since(begin), within.filter(**{f"{field}__gt": too_old[0]})


def _by_action(events: EventQuerySet, period: Period) -> tuple[Mapping[str, int], ...]:
    counts: list[dict[str, int]] = [{} for _ in period.buckets]
    placed = events.annotate(bucket=_bucket("occurred_at", period.edges))
    for bucket, action, number in _counts(placed, "bucket", "action"):
        counts[bucket][action] = number
    return tuple(counts)


def _bucket(field: str, edges: Sequence[datetime], first: int = 0) -> Combinable:
    """Return the number of the bucket that a moment is in.

    The edges are compared as moments: not every database knows the zones. Each comparison halves
    what is left, so that 62 buckets cost six of them.
    """
    if len(edges) == 2:
        return Value(first)
    middle = len(edges) // 2
    return Case(
        When(**{f"{field}__lt": edges[middle]}, then=_bucket(field, edges[: middle + 1], first)),
        default=_bucket(field, edges[middle:], first + middle),
        output_field=IntegerField(),
    )


def _busiest(events: EventQuerySet, most: int, *fields: str) -> Any:
    return _counts(events, *fields).order_by("-number", *fields)[:most]


def _counts(rows: Any, *fields: str) -> Any:
    return rows.order_by().values_list(*fields).annotate(number=Count("pk"))


def _delays(events: EventQuerySet) -> Delays:
    # The slice makes a subquery of the differences, so that each is computed once; SQLite has to
    # call Python for it.
    delays = (
        events.order_by()
        .annotate(delay=F("received_at") - F("occurred_at"))
        .values("delay")[:MAX_ROWS]
    )
    floors = (None, *DELAYS)
    steps = {
        f"step{number}": Q(delay__gte=timedelta()) if floor is None else Q(delay__gt=floor)
        for number, floor in enumerate(floors)
    }
    found = delays.aggregate(
        longest=Max("delay", output_field=DurationField()),
        before=Count("delay", filter=Q(delay__lt=timedelta())),
        **{name: Count("delay", filter=condition) for name, condition in steps.items()},
    )
    above = [found[name] for name in steps]
    return Delays(
        before=found["before"],
        counts=tuple(more - less for more, less in pairwise(above)),
        later=above[-1],
        longest=found["longest"],
    )


def _retries(deliveries: DeliveryQuerySet, total: int) -> Mapping[int | None, int]:
    told = deliveries.annotate(retry=KeyTextTransform(RETRY_HEADER, "headers"))
    retries: dict[int | None, int] = {}
    for text, number in _counts(told, "retry").order_by("-number", "retry")[:MAX_RETRIES]:
        text = "0" if text is None else text.strip()
        # Nothing proves a header: it can hold any text.
        if text.isascii() and text.isdigit() and len(text) < 4:
            retries[int(text)] = retries.get(int(text), 0) + number
    numbered = dict(sorted(retries.items()))
    others = total - sum(retries.values())
    return {**numbered, None: others} if others else numbered
