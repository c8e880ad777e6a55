"""When a tenant's webhook was off, as far as SuperOffice said so."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from superoffice_hooks.models import Event
from superoffice_hooks.trail.scope import events_for

STOPPING, STARTED = ("errors", "stopped"), "started"
MAX_WEBHOOKS = 2_000  # different ids in all tenants
MAX_STATES = 1_000  # changes of state that are read; a webhook has a few in a year


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a webhook of the tenant was off: what happened then may not be in the trail.

    ``stopped`` is the event that tells of its beginning, ``started`` that of its end, ``None``
    where none was received.
    """

    stopped: Event
    started: Event | None


def outages(context_identifier: str, user: Any) -> list[Outage]:
    """Return the times in which a webhook of this tenant was off, oldest first."""
    # The state of webhook 19 is told of the entity webhook, or webhook19, and the primary key 19.
    # Which there are is told by the index of entities, of which only their own events are read
    # (the colon comes after the nine), and then the index of records has the tenant's.
    known = (
        Event.objects.filter(entity__gte="webhook", entity__lt="webhook:")
        .order_by("entity", "primary_key")
        .values_list("entity", "primary_key")
        .distinct()[:MAX_WEBHOOKS]
    )
    webhooks = {(entity, key) for entity, key in known if entity in ("webhook", f"webhook{key}")}
    if not webhooks:
        return []
    states = (
        events_for(user)
        .filter(
            primary_key__in={key for _, key in webhooks},
            entity__in={entity for entity, _ in webhooks},
            context_identifier=context_identifier,
            action__in=(*STOPPING, STARTED),
        )
        .defer("field_values", "properties")
        .order_by("-occurred_at", "-id")[:MAX_STATES]
    )
    return list(_pair(reversed(states)))


def _pair(states: Iterable[Event]) -> Iterable[Outage]:
    off: dict[int, Event] = {}  # by the webhook's id
    found = []
    for event in states:
        if event.action == STARTED:
            stopped = off.pop(event.primary_key, None)
            if stopped is not None:
                found.append(Outage(stopped, event))
        else:
            off.setdefault(event.primary_key, event)
    found += [Outage(stopped, None) for stopped in off.values()]
    return sorted(found, key=lambda outage: (outage.stopped.occurred_at, outage.stopped.pk))
