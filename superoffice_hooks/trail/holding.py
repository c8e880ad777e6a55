"""Which events tell a value: the selections by what stands in field values and deleted values."""

import json
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KeyTransform

from superoffice_hooks.models import DeletedValue, Event, RelatedRecord
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.wire.catalog import linked_key


def is_indexed(field: str, text: str) -> bool:
    """Whether an index finds the events in which this field has this value.

    That is so for the ids of other records, and of the record itself. Of another field the events
    have to be narrowed first: every one of them is read.
    """
    return linked_key(field, text) is not None


def telling(events: EventQuerySet, field: str, text: str) -> EventQuerySet:
    """Keep the events whose field values have this value in this field, spelled just so.

    ``21`` finds the number, the text and the encoded ``[I:21]``.
    """
    told = events.alias(told=KeyTransform(field, "field_values"))
    return _near(told.filter(_is_any("told", _values(text))), field, text)


def holding(events: EventQuerySet, field: str, text: str) -> EventQuerySet:
    """Keep the events whose deleted values have this value in this field; likewise."""
    held = DeletedValue.objects.filter(_is_any("value", _values(text)), name=field)
    return _near(events.filter(Exists(held.filter(event=OuterRef("pk")))), field, text)


def _near(events: EventQuerySet, field: str, text: str) -> EventQuerySet:
    """Keep, by an index, the events of or around the record that the field names, if it does."""
    key = linked_key(field, text)
    if key is None:
        return events
    around = RelatedRecord.objects.filter(primary_key=key).order_by().values("event_id")
    of_record = Event.objects.filter(primary_key=key).order_by().values("pk")
    return events.filter(pk__in=of_record.union(around))


def _values(text: str) -> list[Any]:
    """Return the JSON values that a person writes so."""
    values: list[Any] = [text]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # also an integer of thousands of digits
        return values
    if isinstance(value, bool | int | float):
        values.append(value)
    if isinstance(value, int) and not isinstance(value, bool):
        values.append(f"[I:{value}]")
    return values


def _is_any(name: str, values: list[Any]) -> Q:
    return Q(*(Q(**{name: value}) for value in values), _connector=Q.OR)
