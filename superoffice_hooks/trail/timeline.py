"""The story of one record, newest first, a page at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.history import (
    CREATED,
    DELETED,
    SOFTDELETED,
    Entry,
    Gap,
    Past,
    replay,
)
from superoffice_hooks.trail.outages import Outage, outages
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record

PAGE = 50  # events
REACH = 200  # events before those of the page, in which a value before is looked for
MILESTONES = (CREATED, SOFTDELETED, DELETED)
MAX_MILESTONES = 100
MAX_TWINS = 500  # of the events of a page


@dataclass(frozen=True, slots=True)
class Timeline:
    """One page of the story of a record.

    ``entries`` are its events newest first, each with the gaps just before it and with its twins,
    which are no entries of their own. ``outages`` are the
    times in this page's stretch in which a webhook of the tenant was off. ``milestones`` are the
    record's created, softdeleted and deleted events of all pages, oldest first, and no more than
    the last ``MAX_MILESTONES``. ``older`` is where the next page begins, ``None`` on the last.
    ``trail_began`` is when the tenant's trail begins.
    ``snapshot`` is the newest event of the page that tells values.
    """

    record: Record
    entries: tuple[Entry, ...]
    outages: tuple[Outage, ...]
    milestones: tuple[Event, ...]
    older: Place | None
    trail_began: datetime
    snapshot: Event | None

    @property
    def has_created(self) -> bool:
        """Whether the trail holds a created event of the record, or may hold one."""
        is_cut = len(self.milestones) == MAX_MILESTONES
        return is_cut or any(event.action == CREATED for event in self.milestones)

    def __iter__(self) -> Iterator[Entry | Gap | Outage]:
        """Yield everything in the order of a reader who begins with the newest."""
        waiting = list(self.outages)
        for entry in self.entries:
            while waiting and waiting[-1].stopped.occurred_at > entry.event.occurred_at:
                yield waiting.pop()
            yield entry
            yield from entry.gaps
        yield from reversed(waiting)


def timeline(
    record: Record,
    user: Any,
    technical: Callable[[str, str], bool],
    before: Place | None = None,
) -> Timeline | None:
    """Return a page of what the user may see of this record; ``None`` where there is nothing.

    ``technical`` is as in ``history.replay``. ``before`` is the ``older`` of the page before it.
    The number of queries does not grow with the number of events; at most ``PAGE`` and twice
    ``REACH`` of them are read.
    """
    events = record.events(user).with_rows().defer("properties")
    window = list(_until(events, before)[: PAGE + REACH + 1])
    if not window:
        return None
    milestones = _milestones(events)
    began = _trail_began(record)
    entries = _entries(events, window, PAGE + REACH, milestones, technical, began)[:PAGE]
    entries = _with_twins(entries)
    older = Place.of(window[PAGE - 1]) if len(window) > PAGE else None
    return Timeline(
        record,
        tuple(entries),
        tuple(_meanwhile(outages(record.context_identifier, user), entries, before, older)),
        tuple(milestones),
        older,
        began,
        next((event for event in window[:PAGE] if event.field_values), None),
    )


def entry_of(event: Event, user: Any, technical: Callable[[str, str], bool]) -> Entry:
    """Return the entry of one event in the timeline of its record; a twin has that of its first."""
    event = event.twin_of or event
    record = Record.of(event)
    events = record.events(user).with_rows().defer("properties")
    window = list(_until(events, Place(event.occurred_at, event.pk + 1))[: REACH + 2])
    began = _trail_began(record)
    entries = _entries(events, window, REACH + 1, _milestones(events), technical, began)[:1]
    return _with_twins(entries)[0]


def _until(events: EventQuerySet, before: Place | None) -> EventQuerySet:
    return events if before is None else events.filter(before.beyond())


def _milestones(events: EventQuerySet) -> list[Event]:
    """Return the record's last created, softdeleted and deleted events, oldest first."""
    return list(events.filter(action__in=MILESTONES)[:MAX_MILESTONES])[::-1]


def _trail_began(record: Record) -> datetime:
    """Return when the trail of the record's tenant begins."""
    first = (
        Event.objects.filter(context_identifier=record.context_identifier)
        .order_by("occurred_at", "id")
        .values_list("occurred_at", flat=True)
    )
    return first[0]


def _entries(
    events: EventQuerySet,
    window: list[Event],
    size: int,
    milestones: list[Event],
    technical: Callable[[str, str], bool],
    began: datetime,
) -> list[Entry]:
    """Return the entries of the first ``size`` events of the window, newest first as they are."""
    cut = len(window) > size
    window = window[:size]
    oldest, newest = _when(window[-1]), _when(window[0])
    past = Past(cut=cut, trail_began=began)
    for event in milestones:
        if _when(event) < oldest:
            past = _past(past, event)
        elif _when(event) > newest and event.action == CREATED and past.later_created is None:
            past = past._replace(later_created=event)
    if past.softdeleted is not None and past.deleted is None:
        later = events.filter(
            Place.of(window[-1]).beyond(), Place.of(past.softdeleted).beyond("occurred_at")
        )
        between = list(later.order_by("occurred_at", "id")[: REACH + 1])
        back = replay([past.softdeleted, *between], technical)
        # Of what is too far away nothing is said.
        if len(between) > REACH or any(entry.is_undelete for entry in back):
            past = past._replace(softdeleted=None)
    return list(reversed(replay(reversed(window), technical, past)))


def _with_twins(entries: list[Entry]) -> list[Entry]:
    """Return the entries with what also told each of them, oldest first."""
    twins: dict[int | None, list[Event]] = {}
    found = Event.objects.twins_of(*(entry.event for entry in entries)).order_by("id")
    for twin in found.defer("field_values", "properties")[:MAX_TWINS]:
        twins.setdefault(twin.twin_of_id, []).append(twin)
    return [entry._replace(twins=tuple(twins.get(entry.event.pk, ()))) for entry in entries]


def _past(past: Past, event: Event) -> Past:
    if event.action == DELETED:
        return past._replace(deleted=event)
    if event.action == SOFTDELETED:
        return past._replace(softdeleted=event)
    return past._replace(deleted=None, softdeleted=None)


def _meanwhile(
    off: list[Outage], entries: list[Entry], before: Place | None, older: Place | None
) -> Iterator[Outage]:
    """Yield the outages of this page's stretch of time; none is on two pages."""
    oldest = entries[-1].event.occurred_at
    for outage in off:
        begin = outage.stopped.occurred_at
        end = None if outage.started is None else outage.started.occurred_at
        if before is not None and begin >= before.at:
            continue  # on a newer page
        if begin >= oldest or (older is None and (end is None or end > oldest)):
            yield outage


def _when(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.pk
