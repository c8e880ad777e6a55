"""How a delivery becomes rows, on every database.

One transaction holds an event, its changed fields and deleted values, and the delivery that
brought them. The unique key of ``Event`` decides what is new. Rows are inserted first, and asked
about only when the database says that they are there: two copies at once cost one of them a
second transaction, and all other deliveries cost none.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.models import (
    ChangedField,
    DeletedValue,
    Delivery,
    Event,
    Outcome,
    RelatedRecord,
)
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.catalog import related_records
from superoffice_hooks.wire.payload import Payload

logger = logging.getLogger("superoffice_hooks.intake")

AT_ONCE = 1.0  # seconds: what fails later has waited for something, and would wait again

# MariaDB's codes for a statement that is larger than its max_allowed_packet: it says so, or it
# hangs up, which can have other causes too.
_PACKET_TOO_LARGE = 1153
_HUNG_UP = (2006, 2013)
_LARGE = 1024 * 1024


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


class Row:
    """Where a delivery is written: here into a row of its own.

    A subclass writes into a row that exists already. ``claim`` and ``write`` are called in this
    order, inside the one transaction that stores the delivery and whatever it brings; both are
    called again where that transaction is tried again.
    """

    def claim(self, alias: str) -> Delivery | None:
        """Return the delivery if an earlier attempt has stored it already, else ``None``."""
        return None

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Store the delivery, and return it."""
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

    def wrote(self, delivery: Delivery, arrival: Arrival) -> bool:
        """Whether this stored delivery is the arrival itself, and only the answer was lost."""
        return (delivery.endpoint, delivery.received_at) == (arrival.endpoint, arrival.received_at)


NEW_ROW: Final = Row()


@sensitive_variables()
def record(arrival: Arrival, payload: Payload, event_id: UUID, row: Row = NEW_ROW) -> Delivery:
    """Store a genuine event with its delivery, and return the delivery as it was stored.

    Its outcome is ``recorded`` for a new event, ``duplicate`` where the same bytes are recorded
    already, and ``quarantined`` where the same key is recorded from other bytes or the database
    refuses the values. Raises ``django.db.DatabaseError`` when nothing could be stored.
    """
    alias = router.db_for_write(Event)
    try:
        return _once_more(alias, lambda: _insert(arrival, payload, event_id, row, alias))
    except DatabaseError as error:
        refusal = _refusal(error, arrival, payload)
        if refusal is None:
            raise
    event = Event.objects.using(alias).filter(**_key(payload, event_id)).first()
    if event is None:
        reason = f"The database refuses the values ({refusal})."
        return keep(arrival, Outcome.QUARANTINED, reason, row=row)
    first = event.deliveries.using(alias).filter(outcome=Outcome.RECORDED).first()
    if first is not None and bytes(first.body) == arrival.body:
        if row.wrote(first, arrival):
            return first
        return keep(arrival, Outcome.DUPLICATE, event=event, row=row)
    reason = "The same EventId, Event, PrimaryKey and ContextIdentifier came before in other bytes."
    return keep(arrival, Outcome.QUARANTINED, reason, event, row)


def keep(
    arrival: Arrival,
    outcome: Outcome,
    reason: str = "",
    event: Event | None = None,
    row: Row = NEW_ROW,
) -> Delivery:
    """Store a delivery that brings no new event, and return it."""
    alias = router.db_for_write(Delivery)

    def insert() -> Delivery:
        with transaction.atomic(using=alias, durable=True):
            return row.claim(alias) or row.write(arrival, outcome, reason, event, alias)

    return _once_more(alias, insert)


def _once_more(alias: str, store: Callable[[], Delivery]) -> Delivery:
    """Return what ``store`` returns, and call it again where it failed at once.

    So a lost connection or a deadlock costs nothing. What has waited in vain for a lock is not
    repeated: SuperOffice waits only seconds.
    """
    started = time.monotonic()
    try:
        return store()
    except OperationalError as error:
        if time.monotonic() - started > AT_ONCE:
            raise
        logger.info("Storing a delivery failed and is tried again: %s", type(error).__name__)
        connections[alias].close_if_unusable_or_obsolete()
        return store()


def _refusal(error: DatabaseError, arrival: Arrival, payload: Payload) -> str | None:
    """Return what the database has against these rows; ``None`` where it is merely away."""
    if isinstance(error, IntegrityError | DataError):
        return type(error).__name__
    code = error.args[0] if error.args else None
    is_large = len(arrival.body) > _LARGE or Flag.ENCODED in payload.flags
    if code == _PACKET_TOO_LARGE or (code in _HUNG_UP and is_large):
        return "larger than max_allowed_packet"
    return None


@sensitive_variables()
def _insert(arrival: Arrival, payload: Payload, event_id: UUID, row: Row, alias: str) -> Delivery:
    """Store everything in one transaction, or nothing."""
    with transaction.atomic(using=alias, durable=True):
        stored = row.claim(alias)
        if stored is not None:
            return stored
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
        related = related_records(
            payload.entity, payload.primary_key, payload.field_values, payload.values
        )
        RelatedRecord.objects.using(alias).bulk_create(
            RelatedRecord(
                event=event,
                entity=entity,
                primary_key=primary_key,
                context_identifier=event.context_identifier,
                occurred_at=event.occurred_at,
            )
            for entity, primary_key in related
        )
        return row.write(arrival, Outcome.RECORDED, "", event, alias)


def _key(payload: Payload, event_id: UUID) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "context_identifier": payload.context_identifier,
        "name": payload.name,
        "primary_key": payload.primary_key,
    }
