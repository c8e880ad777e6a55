"""What follows from a payload alone: the columns of its event, and the rows that belong to it."""

from typing import Any

from superoffice_hooks.models import ChangedField, DeletedValue, Event, RelatedRecord
from superoffice_hooks.wire.catalog import related_records
from superoffice_hooks.wire.payload import Payload


def columns_of(payload: Payload) -> dict[str, Any]:
    """Return the columns of the payload's event that are not its key."""
    return {
        "entity": payload.entity,
        "action": payload.action,
        "changed_by_associate_id": payload.changed_by_associate_id,
        "webhook_name": payload.webhook_name,
        "occurred_at": payload.occurred_at,
        "field_values": payload.field_values,
        "properties": payload.properties,
        "flags": [flag.value for flag in payload.flags],
    }


def rows_of(payload: Payload) -> dict[str, Any]:
    """Return what the rows that belong to the payload's event say, by the kind of rows.

    Of changed fields it is the names in their order, of deleted values those by their names, and of
    related records their columns, sorted. Whose they are goes without saying.
    """
    return {
        "changed_fields": list(payload.changes),
        "deleted_values": payload.values,
        "related_records": sorted(
            (entity, primary_key, payload.context_identifier, payload.occurred_at)
            for entity, primary_key in related_to(payload)
        ),
    }


def changed_fields_of(payload: Payload, event: Event) -> list[ChangedField]:
    """Return the fields that the payload names as changed, in its order."""
    return [
        ChangedField(event=event, position=position, name=name)
        for position, name in enumerate(payload.changes)
    ]


def deleted_values_of(payload: Payload, event: Event) -> list[DeletedValue]:
    """Return the values of the deleted row that the payload tells."""
    return [
        DeletedValue(event=event, name=name, value=value) for name, value in payload.values.items()
    ]


def related_records_of(payload: Payload, event: Event) -> list[RelatedRecord]:
    """Return the other records that the payload names."""
    return [
        RelatedRecord(
            event=event,
            entity=entity,
            primary_key=primary_key,
            context_identifier=payload.context_identifier,
            occurred_at=payload.occurred_at,
        )
        for entity, primary_key in related_to(payload)
    ]


def related_to(payload: Payload) -> list[tuple[str, int]]:
    """Return entity and primary key of each other record that the payload names."""
    return related_records(
        payload.entity, payload.primary_key, payload.field_values, payload.values
    )
