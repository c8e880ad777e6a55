"""What a genuine delivery becomes: an event, a duplicate, a test, or a case for the quarantine."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import Endpoint
from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import Deadline
from superoffice_hooks.intake.rows import NEW_ROW, Row, keep, record, record_together
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.catalog import STOPPING, is_webhook
from superoffice_hooks.wire.payload import Payload, guid, parse

EVENT_ID_HEADER: Final = "X-SuperOffice-EventId"
_BODY_NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://docs.superoffice.com/webhooks")


@sensitive_variables()
def settle(arrival: Arrival, endpoint: Endpoint | None, row: Row = NEW_ROW) -> Delivery:
    """Parse and store what has been proven genuine, and tell the receivers of a new event.

    A body that cannot be an event, or names a tenant that the endpoint does not take, is
    quarantined and never refused; so is what arrived at an endpoint that is gone (``None``).
    ``row`` is where the delivery is written. Whoever should know
    of a quarantined delivery or a webhook that was switched off is alarmed. Raises
    ``django.db.DatabaseError`` where the database cannot take it.
    """
    told = _read(arrival, endpoint)
    if isinstance(told, Payload):
        delivery = record(arrival, told, _event_id(arrival, told), row)
    else:
        delivery = keep(arrival, *told, row=row)
    _announce(delivery, alarms=not row.is_known)
    return delivery


@sensitive_variables()
def settle_together(
    arrivals: Sequence[tuple[Arrival, Endpoint | None]], reason: str, deadline: Deadline
) -> list[Delivery | None]:
    """Settle those that bring a new event or copy one, by one transaction; ``None`` for the others.

    They have to be settled one by one. ``reason`` is what the deliveries are given. Raises
    ``django.db.DatabaseError`` where the database refuses one or all: then none is stored.
    """
    events = []
    for place, (arrival, endpoint) in enumerate(arrivals):
        told = _read(arrival, endpoint)
        if isinstance(told, Payload):
            events.append((place, arrival, told, _event_id(arrival, told)))
    settled: list[Delivery | None] = [None] * len(arrivals)
    stored = record_together([event[1:] for event in events], reason, deadline)
    for (place, *_), delivery in zip(events, stored, strict=True):
        settled[place] = delivery
        if delivery is not None:
            _announce(delivery)
    return settled


@sensitive_variables()
def _read(arrival: Arrival, endpoint: Endpoint | None) -> Payload | tuple[Outcome, str]:
    """Return the event that a body tells, or what becomes of a delivery without one, and why."""
    if endpoint is None:
        reason = f"The endpoint {arrival.endpoint!r} was removed while the delivery was spooled."
        return Outcome.QUARANTINED, reason
    try:
        payload = parse(arrival.body)
    except PayloadError as error:
        return Outcome.QUARANTINED, str(error)
    if payload.is_test:
        return Outcome.TEST, ""
    if not endpoint.takes(payload.context_identifier):
        reason = "ContextIdentifier is missing, or names a tenant that this endpoint does not take."
        return Outcome.QUARANTINED, reason
    return payload


@sensitive_variables()
def _announce(delivery: Delivery, *, alarms: bool = True) -> None:
    """Tell the receivers of a new event, and whoever should know of trouble."""
    if delivery.outcome == Outcome.RECORDED and (event := delivery.event) is not None:
        event_recorded.send_robust(sender=Event, event=event, delivery=delivery)
        if is_webhook(event.entity, event.primary_key) and event.action in STOPPING:
            sound(
                Alarm.WEBHOOK_STOPPED,
                event.context_identifier,
                f"SuperOffice says {event.name} of webhook {event.primary_key} of tenant "
                f"{event.context_identifier!r} at {event.occurred_at:%Y-%m-%d %H:%M} UTC: unless "
                "it was switched on again since, what happens there is lost. To know, type: "
                "python manage.py superoffice_doctor",
            )
    elif delivery.outcome == Outcome.QUARANTINED and alarms:
        sound(
            Alarm.QUARANTINED,
            delivery.endpoint,
            f"A delivery to endpoint {delivery.endpoint!r} was quarantined: {delivery.reason}",
        )


def _event_id(arrival: Arrival, payload: Payload) -> UUID:
    return payload.event_id or stand_in(arrival.body, arrival.headers)


def stand_in(body: bytes, headers: Mapping[str, str]) -> UUID:
    """Return the header's EventId for a body without one, else a UUID that the body determines.

    Either is the same when SuperOffice sends the same delivery again.
    """
    named = {name.lower(): value for name, value in headers.items()}
    return guid(named.get(EVENT_ID_HEADER.lower(), "")) or uuid5(
        _BODY_NAMESPACE, hashlib.sha256(body).hexdigest()
    )
