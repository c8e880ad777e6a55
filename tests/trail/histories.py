"""Histories of hundreds of events, stored at once as hundreds of deliveries would be."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from superoffice_hooks.models import ChangedField, Event
from superoffice_hooks.trail.record import Record

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
RECORD = Record("Cust24680", "contact", 4711)


def wire_time(hours=0.0):
    """The Timestamp of a body, so many hours after Monday at nine."""
    return (MONDAY + timedelta(hours=hours)).isoformat()


def told(hours, action="changed", changes=(), values=None, **more):
    """One event of the record, for ``store``."""
    return {"hours": hours, "action": action, "changes": changes, "values": values or {}} | more


def store(*history):
    """Store the events in this order, which is the order of their arrival, and return them."""
    events = Event.objects.bulk_create(
        [
            Event(
                event_id=uuid4(),
                name=f"{row.get('entity', RECORD.entity)}.{row['action']}",
                entity=row.get("entity", RECORD.entity),
                action=row["action"],
                primary_key=row.get("primary_key", RECORD.primary_key),
                context_identifier=row.get("context_identifier", RECORD.context_identifier),
                changed_by_associate_id=12,
                webhook_name="Audit trail",
                occurred_at=MONDAY + timedelta(hours=row["hours"]),
                received_at=MONDAY + timedelta(days=90),
                field_values=row["values"],
            )
            for row in history
        ],
        batch_size=500,
    )
    ChangedField.objects.bulk_create(
        [
            ChangedField(event=event, position=position, name=name)
            for event, row in zip(events, history, strict=True)
            for position, name in enumerate(row["changes"])
        ],
        batch_size=500,
    )
    return events
