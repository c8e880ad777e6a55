"""Which events tell a value: the selections by what stands in field values and deleted values."""

import json
import math
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import RawSQL
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


class _Told(KeyTransform):
    """The value of a field by its exact name.

    Django's own takes digits for a place in a list, and finds no letter but those of ASCII on
    SQLite and MariaDB.
    """

    def as_postgresql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        told, params = compiler.compile(self.lhs)
        return f"({told} -> %s::text)", (*params, self.key_name)

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        told, params = compiler.compile(self.lhs)
        value = "CASE WHEN type IN ('false', 'true', 'null') THEN type ELSE value END"
        sql = f"(SELECT {value} FROM json_each({told}) WHERE key = %s)"  # noqa: S608
        return sql, (*params, self.key_name)

    def as_mysql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        told, params = compiler.compile(self.lhs)
        path = f"$.{json.dumps(self.key_name, ensure_ascii=False)}"
        return f"JSON_EXTRACT({told}, %s)", (*params, path)


def telling(events: EventQuerySet, field: str, text: str) -> EventQuerySet:
    """Keep the events whose field values have this value in this field, spelled just so.

    ``21`` finds the number, the text and the encoded ``[I:21]``.
    """
    told = events.alias(told=_Told(field, "field_values"))
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
    # A derived table, for MariaDB looks up every event in a UNION. Names come from the models.
    sql = f"""
        SELECT near.id FROM (
            SELECT id FROM {Event._meta.db_table} WHERE primary_key = %s
            UNION SELECT event_id FROM {RelatedRecord._meta.db_table} WHERE primary_key = %s
        ) AS near
    """  # noqa: S608
    return events.filter(pk__in=RawSQL(sql, (key, key)))  # noqa: S611


def _values(text: str) -> list[Any]:
    """Return the JSON values that a person writes so."""
    values: list[Any] = [text]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # also an integer of thousands of digits
        return values
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        values.append(value)
    if isinstance(value, int) and not isinstance(value, bool):
        values.append(f"[I:{value}]")
    return values


def _is_any(name: str, values: list[Any]) -> Q:
    return Q(*(Q(**{name: value}) for value in values), _connector=Q.OR)
