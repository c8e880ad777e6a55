"""How a delivery becomes rows, on every database.

One transaction holds an event, its changed fields and deleted values, and the delivery that
brought them. The unique key of ``Event`` decides what is new. Rows are inserted first, and asked
about only when the database says that they are there: two copies at once cost one of them a
second transaction, and all other deliveries cost none.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, OperationalError, router, transaction
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, Outcome
from superoffice_hooks.wire.payload import Payload

# MariaDB says so of rows that are larger than its max_allowed_packet, and may hang up as well.
_PACKET_TOO_LARGE = frozenset({1153, 2006, 2013})


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a delivery before its body is read.

    ``body`` is as it came. ``headers`` and ``remote_address`` are kept as evidence. ``key_id``
    names the secret that gave the signature.
    """

    endpoint: str
    received_at: datetime
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    remote_address: str
    signature: str = field(repr=False)
    key_id: str


@sensitive_variables()
def record(arrival: Arrival, payload: Payload, event_id: UUID) -> Delivery:
    """Store a genuine event with its delivery, and return the delivery as it was stored.

    Its outcome is ``recorded`` for a new event, ``duplicate`` where the same bytes are recorded
    already, and ``quarantined`` where the same key is recorded from other bytes or the database
    refuses the values. Raises ``django.db.DatabaseError`` when nothing could be stored.
    """
    alias = router.db_for_write(Event)
    try:
        try:
            return _insert(arrival, payload, event_id, alias)
        except OperationalError:
            # A lost connection, a deadlock: the unique key makes it safe to insert again.
            return _insert(arrival, payload, event_id, alias)
    except (IntegrityError, DataError) as error:
        refusal = type(error).__name__
    except OperationalError as error:
        if error.args[:1] and error.args[0] in _PACKET_TOO_LARGE:
            refusal = "larger than max_allowed_packet"
        else:
            raise
    event = Event.objects.using(alias).filter(**_key(payload, event_id)).first()
    if event is None:
        return keep(arrival, Outcome.QUARANTINED, f"The database refuses the values ({refusal}).")
    first = event.deliveries.using(alias).filter(outcome=Outcome.RECORDED).first()
    if first is not None and bytes(first.body) == arrival.body:
        return keep(arrival, Outcome.DUPLICATE, event=event)
    reason = "The same EventId, Event, PrimaryKey and ContextIdentifier came before in other bytes."
    return keep(arrival, Outcome.QUARANTINED, reason, event)


def keep(
    arrival: Arrival, outcome: Outcome, reason: str = "", event: Event | None = None
) -> Delivery:
    """Store a delivery that brings no new event, and return it."""
    alias = router.db_for_write(Delivery)
    with transaction.atomic(using=alias, durable=True):
        return _deliver(arrival, outcome, reason, event, alias)


@sensitive_variables()
def _insert(arrival: Arrival, payload: Payload, event_id: UUID, alias: str) -> Delivery:
    """Store everything in one transaction, or nothing."""
    with transaction.atomic(using=alias, durable=True):
        event = Event(
            **_key(payload, event_id),
            entity=payload.entity,
            action=payload.action,
            changed_by_associate_id=payload.changed_by_associate_id,
            webhook_name=payload.webhook_name,
            occurred_at=payload.occurred_at,
            received_at=arrival.received_at,
            field_values=payload.field_values,
            properties=payload.properties,
            flags=[flag.value for flag in payload.flags],
        )
        event.save(using=alias, force_insert=True)
        ChangedField.objects.using(alias).bulk_create(
            ChangedField(event=event, position=position, name=name)
            for position, name in enumerate(payload.changes)
        )
        DeletedValue.objects.using(alias).bulk_create(
            DeletedValue(event=event, name=name, value=value)
            for name, value in payload.values.items()
        )
        return _deliver(arrival, Outcome.RECORDED, "", event, alias)


def _key(payload: Payload, event_id: UUID) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "context_identifier": payload.context_identifier,
        "name": payload.name,
        "primary_key": payload.primary_key,
    }


@sensitive_variables()
def _deliver(
    arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
) -> Delivery:
    delivery = Delivery(
        endpoint=arrival.endpoint,
        received_at=arrival.received_at,
        outcome=outcome,
        reason=reason,
        event=event,
        signature=arrival.signature,
        key_id=arrival.key_id,
        remote_address=arrival.remote_address,
        headers=arrival.headers,
        body=arrival.body,
    )
    delivery.save(using=alias, force_insert=True)
    return delivery
