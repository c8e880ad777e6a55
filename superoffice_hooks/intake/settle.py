"""What a genuine delivery becomes: an event, a duplicate, a test, or a case for the quarantine."""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import Endpoint
from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.rows import NEW_ROW, Row, keep, record
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.catalog import STOPPING, is_webhook
from superoffice_hooks.wire.payload import guid, parse

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
    delivery = _store(arrival, endpoint, row)
    event = delivery.event
    if delivery.outcome == Outcome.RECORDED and event is not None:
        event_recorded.send_robust(sender=Event, event=event, delivery=delivery)
        if is_webhook(event.entity, event.primary_key) and event.action in STOPPING:
            sound(
                Alarm.WEBHOOK_STOPPED,
                event.context_identifier,
                f"SuperOffice says {event.name} of webhook {event.primary_key} of tenant "
                f"{event.context_identifier!r}: until it is switched on again, what happens there "
                "is lost.",
            )
    elif delivery.outcome == Outcome.QUARANTINED and not row.is_known:
        sound(
            Alarm.QUARANTINED,
            delivery.endpoint,
            f"A delivery to endpoint {delivery.endpoint!r} was quarantined: {delivery.reason}",
        )
    return delivery


@sensitive_variables()
def _store(arrival: Arrival, endpoint: Endpoint | None, row: Row) -> Delivery:
    if endpoint is None:
        reason = f"The endpoint {arrival.endpoint!r} was removed while the delivery was spooled."
        return keep(arrival, Outcome.QUARANTINED, reason, row=row)
    try:
        payload = parse(arrival.body)
    except PayloadError as error:
        return keep(arrival, Outcome.QUARANTINED, str(error), row=row)
    if payload.is_test:
        return keep(arrival, Outcome.TEST, row=row)
    if not endpoint.takes(payload.context_identifier):
        return keep(
            arrival,
            Outcome.QUARANTINED,
            "ContextIdentifier is missing, or names a tenant that this endpoint does not take.",
            row=row,
        )
    return record(
        arrival, payload, payload.event_id or stand_in(arrival.body, arrival.headers), row
    )


def stand_in(body: bytes, headers: Mapping[str, str]) -> UUID:
    """Return the header's EventId for a body without one, else a UUID that the body determines.

    Either is the same when SuperOffice sends the same delivery again.
    """
    named = {name.lower(): value for name, value in headers.items()}
    return guid(named.get(EVENT_ID_HEADER.lower(), "")) or uuid5(
        _BODY_NAMESPACE, hashlib.sha256(body).hexdigest()
    )
