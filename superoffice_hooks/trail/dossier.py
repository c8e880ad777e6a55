"""What the trail knows of a record that was deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.history import CREATED, DELETED, SOFTDELETED, Entry, replay
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.timeline import REACH

MAX_STEPS = 200  # events that are read after the first deletion, and after the last


@dataclass(frozen=True, slots=True)
class Dossier:
    """The deletion of one record.

    ``steps`` are its soft deletes, deletes and undeletes, oldest first. ``deleted`` is the last
    event that deleted it for good. ``after`` are the events that came after it was last deleted
    or put into the bin and changed nothing of that. ``snapshot`` is the last event that tells
    values: of a record that is gone, the last before or with its deletion. ``is_cut`` says that
    more came after a deletion than was read, and that an undelete may be missing.
    """

    steps: tuple[Entry, ...]
    deleted: Event | None
    after: tuple[Entry, ...]
    snapshot: Event | None
    is_cut: bool

    @property
    def is_gone(self) -> bool:
        """Whether the record was deleted or put into the bin, and nothing brought it back."""
        created = any(entry.event.action == CREATED for entry in self.after)
        return bool(self.steps) and not self.steps[-1].is_undelete and not created


def dossier(
    record: Record,
    user: Any,
    milestones: tuple[Event, ...],
    technical: Callable[[str, str], bool],
) -> Dossier | None:
    """Return the dossier of a record; ``None`` where it was never deleted.

    ``milestones`` are those of its timeline.
    """
    deletions = [event for event in milestones if event.action in (SOFTDELETED, DELETED)]
    if not deletions:
        return None
    events = record.events(user).defer("properties")
    since, is_cut = _since(events.with_rows(), milestones, deletions)
    steps: list[Entry] = []
    after: list[Entry] = []
    is_deleted = False
    for entry in replay(since, technical):
        # What was deleted for good is not brought back, whatever a snapshot tells.
        if entry.event.action in (SOFTDELETED, DELETED) or (entry.is_undelete and not is_deleted):
            steps.append(entry)
            after = []
        else:
            after.append(entry)
        if entry.event.action in (CREATED, DELETED):
            is_deleted = entry.event.action == DELETED
    last = steps[-1]
    told = events
    if not last.is_undelete:
        told = events.filter(Place(last.event.occurred_at, last.event.pk + 1).beyond())
    return Dossier(
        tuple(steps),
        next((step.event for step in reversed(steps) if step.event.action == DELETED), None),
        () if last.is_undelete else tuple(after),
        next((event for event in told[:REACH] if event.field_values), None),
        is_cut,
    )


def _since(
    events: EventQuerySet, milestones: tuple[Event, ...], deletions: list[Event]
) -> tuple[list[Event], bool]:
    """Return the events from the first deletion on, and whether some were left out.

    Left out are those long after the first and not soon after the last; no milestone is.
    """
    first, last = deletions[0], deletions[-1]
    found = {event.pk: event for event in milestones if _when(event) >= _when(first)}
    is_cut = False
    for deletion in dict.fromkeys([first, last]):
        after = events.filter(Place.of(deletion).beyond("occurred_at")).order_by(
            "occurred_at", "id"
        )
        read = list(after[: MAX_STEPS + 1])
        is_cut = is_cut or len(read) > MAX_STEPS
        found |= {event.pk: event for event in read[:MAX_STEPS]}
    return sorted(found.values(), key=_when), is_cut


def _when(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.pk
