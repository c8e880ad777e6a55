"""What happened around a record: the events of other records that name it."""

from dataclasses import dataclass
from typing import Any

from superoffice_hooks.models import Event, RelatedRecord
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for
from superoffice_hooks.wire.catalog import linked_ends, links

PAGE = 50  # events
KINDS = 500  # of the newest, whose entities are offered as a filter


@dataclass(frozen=True, slots=True)
class Mention:
    """An event of another record that names this one, and the fields in which it does.

    ``tied`` is the record at the other end, where the event is a relation's.
    """

    event: Event
    fields: tuple[str, ...]
    tied: Record | None


@dataclass(frozen=True, slots=True)
class Related:
    """One page of what happened around a record, newest first.

    ``entities`` are the entities of the newest 500 such events, to filter by. ``older`` is where
    the next page begins, ``None`` on the last.
    """

    mentions: tuple[Mention, ...]
    entities: tuple[str, ...]
    older: Place | None


def related(
    record: Record, user: Any, entity: str | None = None, before: Place | None = None
) -> Related:
    """Return the events of other records that name this record in a value, without twins.

    ``entity`` keeps to events of that entity. Only what the user may see is there.
    """
    naming = RelatedRecord.objects.filter(
        primary_key=record.primary_key,
        entity=record.entity,
        context_identifier=record.context_identifier,
        event__twin_of=None,
    ).order_by("-occurred_at", "-event_id")
    contexts = contexts_for(user)
    if contexts is not None and record.context_identifier not in contexts:
        naming = naming.none()
    entities = sorted(set(naming.values_list("event__entity", flat=True)[:KINDS]))
    if entity is not None:
        naming = naming.filter(event__entity=entity)
    if before is not None:
        naming = naming.filter(before.beyond(key="event_id"))
    rows = list(
        naming.select_related("event")
        .defer("event__properties")
        .prefetch_related("event__changed_fields", "event__deleted_values")[: PAGE + 1]
    )
    mentions = tuple(_mention(row.event, record) for row in rows[:PAGE])
    older = Place.of(rows[PAGE - 1].event) if len(rows) > PAGE else None
    return Related(mentions, tuple(entities), older)


def _mention(event: Event, record: Record) -> Mention:
    return Mention(event, _fields(event, record), _tied(event, record))


def _tied(event: Event, record: Record) -> Record | None:
    """Return the record that the relation ties to this one, if the event is a relation's."""
    ends = [record.sibling(*end) for end in linked_ends(event.field_values).values()]
    others = [end for end in ends if end != record]
    return others[0] if len(ends) == 2 and len(others) == 1 else None


def _fields(event: Event, record: Record) -> tuple[str, ...]:
    """Return the names of the fields in which the event names the record."""
    deleted = {row.name: row.value for row in event.deleted_values.all()}
    named = [*links(deleted).items(), *links(event.field_values).items()]
    target = (record.entity, record.primary_key)
    return tuple(sorted({field for field, found in named if found == target}))
