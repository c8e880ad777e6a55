"""When a tenant's webhook was off, as far as SuperOffice said so."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.scope import events_for
from superoffice_hooks.wire.catalog import STARTED, STOPPING, is_webhook

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
    events = events_for(user).filter(context_identifier=context_identifier)
    return list(_pair(_states(events)))


def still_off(since: datetime) -> list[Event]:
    """Return what tells of webhooks, of any tenant, that stopped since then and did not start."""
    pairs = _pair(_states(Event.objects.filter(occurred_at__gte=since)))
    return [outage.stopped for outage in pairs if outage.started is None]


def _states(events: EventQuerySet) -> list[Event]:
    """Return those of the events that tell of a webhook's own state, oldest first."""
    # The state of webhook 19 is told of the entity webhook, or webhook19, and the primary key 19.
    # Which there are is told by the index of entities, of which only their own events are read
    # (the colon comes after the nine), and then the index of records has the tenant's.
    known = (
        Event.objects.filter(entity__gte="webhook", entity__lt="webhook:")
        .order_by("entity", "primary_key")
        .values_list("entity", "primary_key")
        .distinct()[:MAX_WEBHOOKS]
    )
    webhooks = {(entity, key) for entity, key in known if is_webhook(entity, key)}
    if not webhooks:
        return []
    states = (
        events.once()
        .filter(
            primary_key__in={key for _, key in webhooks},
            entity__in={entity for entity, _ in webhooks},
            action__in=(*STOPPING, STARTED),
        )
        .defer("field_values", "properties")
        .order_by("-occurred_at", "-id")[:MAX_STATES]
    )
    return list(reversed(states))


def _pair(states: Iterable[Event]) -> Iterable[Outage]:
    off: dict[tuple[str, int], Event] = {}  # by the tenant and the webhook's id
    found = []
    for event in states:
        webhook = event.context_identifier, event.primary_key
        if event.action == STARTED:
            stopped = off.pop(webhook, None)
            if stopped is not None:
                found.append(Outage(stopped, event))
        else:
            off.setdefault(webhook, event)
    found += [Outage(stopped, None) for stopped in off.values()]
    return sorted(found, key=lambda outage: (outage.stopped.occurred_at, outage.stopped.pk))
