"""What a record's events tell together: before and after, and what is missing between them.

SuperOffice names the fields that a change touched, and since 2025 sends a snapshot of some values
after it; it never sends what was there before. So the value before is the one that the record's
previous snapshot told, and says so. And where two snapshots differ in a field that no event
between them named, an event is missing.
"""

import enum
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

from superoffice_hooks.models import Event
from superoffice_hooks.trail.values import same_value
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.catalog import has_created, same_field
from superoffice_hooks.wire.values import decode

CREATED, DELETED, SOFTDELETED = "created", "deleted", "softdeleted"
# What a soft delete moves by itself, as ``same_field`` spells it.
BIN_FIELDS = frozenset({"deleted", "deleteddate"})
# Snapshots tell local time without an offset, and no two places are further apart.
ZONES = timedelta(hours=14)


class Told(NamedTuple):
    """A value of a field, and the event whose snapshot told it."""

    value: Any
    event: Event


class Provenance(enum.StrEnum):
    """How much is known of the value before a change."""

    DERIVED = "derived"  # an earlier snapshot told it
    NEW = "new"  # the record was created by this event
    FIRST_SIGHT = "first_sight"  # no earlier event names the field or tells its value
    UNTOLD = "untold"  # an earlier event changed the field and its value was not sent
    CAPPED = "capped"  # an earlier event named more fields than are kept, and may have changed it
    OUT_OF_REACH = "out_of_reach"  # earlier events exist, further back than was looked


class FieldChange(NamedTuple):
    """One field that an event names as changed.

    ``before`` and ``after`` are ``None`` where the value is not known; ``provenance`` says why
    of the one, and of the other there is one reason: SuperOffice did not send it. ``by`` is the
    event that ``provenance`` speaks of, ``None`` where there is none.
    """

    name: str
    before: Told | None
    after: Told | None
    provenance: Provenance
    by: Event | None = None

    @property
    def is_same(self) -> bool:
        """Whether both values are known and equal."""
        return (
            self.before is not None
            and self.after is not None
            and same_value(self.before.value, self.after.value)
        )


class GapKind(enum.StrEnum):
    """What shows that the trail lacks something, just before an event."""

    MOVED = "moved"  # a value moved between two snapshots, and no event named its field
    UNBORN = "unborn"  # a change before the record's created event, or without one
    AFTER_DELETE = "after_delete"  # the record was deleted, and yet something happened to it
    IN_THE_BIN = "in_the_bin"  # likewise after a soft delete, and no event brought it back


class Gap(NamedTuple):
    """A sign that something happened which the trail does not hold.

    It lies between ``since``, where that is known, and ``until``. ``moved`` holds the fields of a
    ``MOVED`` gap with their values on both sides.
    """

    kind: GapKind
    since: Event | None
    until: Event
    moved: tuple[FieldChange, ...] = ()


class Entry(NamedTuple):
    """One event of a record: what it changed, and the gaps just before it.

    ``twins`` are the events that told the same change again, where they were looked for.
    """

    event: Event
    changes: tuple[FieldChange, ...]
    gaps: tuple[Gap, ...]
    is_undelete: bool
    twins: tuple[Event, ...] = ()


class Past(NamedTuple):
    """What is known of a record before the first event that is replayed.

    ``cut`` says whether there are earlier events, which are not replayed. ``deleted`` and
    ``softdeleted`` are the last such events among them; ``later_created`` is a created event that
    comes after all that is replayed. ``trail_began`` is when the trail of the tenant begins.
    """

    cut: bool = False
    deleted: Event | None = None
    softdeleted: Event | None = None
    later_created: Event | None = None
    trail_began: datetime | None = None


def replay(
    events: Iterable[Event],
    technical: Callable[[str, str], bool] = lambda entity, field: False,
    past: Past | None = None,
) -> list[Entry]:
    """Return an entry for each event of one record, oldest first, as ``events`` must be.

    ``technical`` says of an entity's field whether SuperOffice itself keeps it: such a field moves
    at every save, and its moving shows nothing. Each event needs its ``changed_fields``; prefetch
    them. Reads no other rows.
    """
    events = list(events)
    past = past or Past()
    created = next((event for event in events if event.action == CREATED), past.later_created)
    if not events:
        return []
    history = _History(events[0].entity, technical, past, created)
    return [history.add(event) for event in events]


class _Snapshot:
    """The values that one event told, found by any spelling of a field's name."""

    def __init__(self, event: Event, field_of: Callable[[str], str]) -> None:
        self.values, self.field_of = event.field_values, field_of
        self.spelling = {field_of(name): name for name in self.values}

    def find(self, name: str) -> str | None:
        """Return the name under which the snapshot tells this field."""
        return name if name in self.values else self.spelling.get(self.field_of(name))


class _History:
    """The state of one record, event by event."""

    def __init__(
        self,
        entity: str,
        technical: Callable[[str, str], bool],
        past: Past,
        created: Event | None,
    ) -> None:
        self.field_of = cache(partial(same_field, entity=entity))  # the same few, at every event
        self.technical = cache(partial(technical, entity))
        self.past = past
        self.created = created
        self.is_first = not past.cut
        self.deleted = past.deleted
        self.softdeleted = past.softdeleted
        self.told: dict[str, Told] = {}  # by the exact name
        self.spelling: dict[str, str] = {}
        # Changed since, or perhaps, and the value was not sent.
        self.untold: dict[str, tuple[Provenance, Event]] = {}
        self.moment: datetime | None = None
        self.told_before = self.told  # as it was before the first event of this moment
        self.untold_before = self.untold

    def add(self, event: Event) -> Entry:
        """Take up the next event, and return its entry.

        One save can raise two events of one moment: what was there before is, for both, what was
        there before that moment.
        """
        if event.occurred_at != self.moment:
            self.moment = event.occurred_at
            self.told_before, self.untold_before = dict(self.told), dict(self.untold)
        names = [row.name for row in event.changed_fields.all()]
        snapshot = _Snapshot(event, self.field_of)
        is_undelete = self._is_undelete(event, names, snapshot)
        gaps = (
            *self._unborn(event),
            *self._moved(event, names, snapshot, is_undelete),
            *self._after_delete(event, is_undelete),
        )
        changes = tuple(self._change(event, name, snapshot) for name in names)
        self._take_up(event, names, snapshot)
        if event.action == DELETED:
            self.deleted = event
        elif event.action == SOFTDELETED:
            self.softdeleted = event
        elif event.action == CREATED:
            self.deleted = self.softdeleted = None
        elif is_undelete:
            self.softdeleted = None
        return Entry(event, changes, gaps, is_undelete)

    def _take_up(self, event: Event, names: list[str], snapshot: _Snapshot) -> None:
        self.is_first = False
        named = {self.field_of(name) for name in names}
        if Flag.CAPPED in event.flags:  # it may have named any field
            names = [*names, *self.told]
        for name in names:
            field = self.field_of(name)
            told_as = self._told_as(name, field, self.told)
            told = None if told_as is None else self.told[told_as]
            if told is not None and told.event.occurred_at == event.occurred_at:
                continue  # one save that raised two events: the other told the value
            if told_as is not None:
                del self.told[told_as]
            why = Provenance.UNTOLD if field in named else Provenance.CAPPED
            self.untold[field] = why, event
        for name, value in snapshot.values.items():
            field = self.field_of(name)
            told_as = self.spelling.get(field)
            if told_as is not None and told_as not in snapshot.values:
                self.told.pop(told_as, None)
            self.told[name] = Told(value, event)
            self.spelling[field] = name
            self.untold.pop(field, None)

    def _told_as(self, name: str, field: str, told: dict[str, Told]) -> str | None:
        """Return the name under which an earlier snapshot told this field."""
        if name in told:
            return name
        told_as = self.spelling.get(field)
        return told_as if told_as in told else None

    def _change(self, event: Event, name: str, snapshot: _Snapshot) -> FieldChange:
        sent_as, field = snapshot.find(name), self.field_of(name)
        after = None if sent_as is None else Told(snapshot.values[sent_as], event)
        told_as = self._told_as(sent_as or name, field, self.told_before)
        if told_as is not None:
            before = self.told_before[told_as]
            return FieldChange(name, before, after, Provenance.DERIVED, before.event)
        if field in self.untold_before:
            why, by = self.untold_before[field]
            return FieldChange(name, None, after, why, by)
        if event.action == CREATED:
            return FieldChange(name, None, after, Provenance.NEW)
        reach = Provenance.OUT_OF_REACH if self.past.cut else Provenance.FIRST_SIGHT
        return FieldChange(name, None, after, reach)

    def _moved(
        self, event: Event, names: list[str], snapshot: _Snapshot, is_undelete: bool
    ) -> Iterable[Gap]:
        if Flag.CAPPED in event.flags:
            return  # it may have named any field
        explained = {self.field_of(name) for name in names}
        if event.action == SOFTDELETED or is_undelete:
            explained |= BIN_FIELDS
        moved = []
        for name, value in snapshot.values.items():
            field = self.field_of(name)
            told_as = self._told_as(name, field, self.told)
            if told_as is None or (told_as != name and told_as in snapshot.values):
                continue
            before = self.told[told_as]
            if same_value(before.value, value):
                continue
            if field in explained or self.technical(name):
                continue
            moved.append(
                FieldChange(name, before, Told(value, event), Provenance.DERIVED, before.event)
            )
        if moved:
            since = min((change.by for change in moved if change.by), key=_when)
            yield Gap(GapKind.MOVED, since, event, tuple(moved))

    def _unborn(self, event: Event) -> Iterable[Gap]:
        if not self.is_first or event.action == CREATED:
            return
        # Of two events of one moment, either can have arrived first.
        born_later = self.created is not None and self.created.occurred_at > event.occurred_at
        if born_later or self._was_created_within_the_trail(event):
            yield Gap(GapKind.UNBORN, None, event)

    def _was_created_within_the_trail(self, event: Event) -> bool:
        """Whether the snapshot says that the record was made when the trail ran already."""
        began, snapshot = self.past.trail_began, _Snapshot(event, self.field_of)
        name = snapshot.find("registered") or snapshot.find("created_at")
        if began is None or name is None or self.created is not None:
            return False
        registered = decode(snapshot.values[name])
        if isinstance(registered, str):
            try:
                registered = datetime.fromisoformat(registered)
            except ValueError:
                return False
        if not isinstance(registered, datetime) or not has_created(event.entity):
            return False
        if registered.tzinfo is not None:
            return registered > began
        return registered - began.replace(tzinfo=None) > ZONES

    def _is_undelete(self, event: Event, names: list[str], snapshot: _Snapshot) -> bool:
        """Whether what was in the bin is no longer in it.

        The snapshot says so, or the event names the fields of the bin alone and tells no value of
        them. (A change of a list item names them always.)
        """
        if self.deleted is not None or self.softdeleted is None:
            return False
        if event.occurred_at <= self.softdeleted.occurred_at:
            return False
        if event.action in (DELETED, SOFTDELETED):
            return False
        told = [
            decode(value)
            for name, value in snapshot.values.items()
            if self.field_of(name) in BIN_FIELDS
        ]
        if told:
            return all(value in (None, "", 0, "0") for value in told)
        telling = {self.field_of(name) for name in names if not self.technical(name)}
        return bool(telling) and telling <= BIN_FIELDS

    def _after_delete(self, event: Event, is_undelete: bool) -> Iterable[Gap]:
        # Of two events of one moment, either can have arrived first; and one delete can come
        # twice, under another EventId.
        if self.deleted is not None:
            if event.occurred_at > self.deleted.occurred_at:
                yield Gap(GapKind.AFTER_DELETE, self.deleted, event)
        elif (
            self.softdeleted is not None
            and event.occurred_at > self.softdeleted.occurred_at
            and not is_undelete
            and event.action not in (DELETED, SOFTDELETED)
        ):
            yield Gap(GapKind.IN_THE_BIN, self.softdeleted, event)


def _when(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.pk
