"""Exports of what a test has stored, and how they are read again."""

import csv
import io
import json

from django.contrib.auth import get_user_model

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.trail.export import Export
from superoffice_hooks.trail.follow import settled
from superoffice_hooks.trail.formats import NDJSON
from superoffice_hooks.trail.scope import deliveries_for, events_for
from superoffice_hooks.trail.selection import Selection
from superoffice_hooks.wire.catalog import related_records

EVENT_ORDERS = ("-occurred_at", "occurred_at", "-received_at", "received_at", "-id", "id")
DELIVERY_ORDERS = ("-received_at", "received_at", "-id", "id")
ODD_VALUES = {
    "nul": "a\0b",
    "half": "\ud83d",
    "emoji": "🏔️ fjord",
    "large": 2**63 - 1,
    "larger": 10**40,
    "small": -(2**63),
    "1e23": 1e23,
    "zero": -0.0,
    "float": 0.1,
    "tiny": 5e-324,
    "nested": {"a": [1, {"b": [None, True, "=1+1"]}], "": {}},
    "formula": '=HYPERLINK("http://example.com";"x")',
    "lines": "one\r\ntwo\u2028three\ttab",
    "text of a number": "1",
    "nothing": None,
}


def user(name="auditor"):
    return get_user_model()(username=name)


def events(order="-occurred_at", **filters):
    rows = events_for(user()).filter(**filters)
    return rows.order_by(order, "-id" if order.startswith("-") else "id")


def deliveries(order="-id"):
    return deliveries_for(user()).order_by(order, "-id" if order.startswith("-") else "id")


def selection(rows=None, **more):
    rows = events() if rows is None else rows
    return Selection(rows, **{"until": settled(rows.model), "user": user(), "filter": {}} | more)


def exported(rows=None, format=NDJSON, place=None, **more):
    return b"".join(Export(selection(rows, **more), format, place))


def lines(raw):
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def cells(raw):
    return [*csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))]


def restore(raw_lines):
    """Store again what the lines of an NDJSON export of events tell."""
    rows = [json.loads(line) for line in raw_lines]
    own = [field for field in Event._meta.concrete_fields if field.name != "fingerprint"]
    Event.objects.bulk_create(
        [Event(**{field.attname: row[field.name] for field in own}) for row in rows]
    )
    ChangedField.objects.bulk_create(
        ChangedField(event_id=row["id"], position=position, name=name)
        for row in rows
        for position, name in enumerate(row["changed_fields"])
    )
    DeletedValue.objects.bulk_create(
        DeletedValue(event_id=row["id"], name=name, value=value)
        for row in rows
        for name, value in row["deleted_values"].items()
    )
    RelatedRecord.objects.bulk_create(
        RelatedRecord(
            event_id=row["id"],
            entity=entity,
            primary_key=primary_key,
            context_identifier=row["context_identifier"],
            occurred_at=row["occurred_at"],
        )
        for row in rows
        for entity, primary_key in related_records(
            row["entity"], row["primary_key"], row["field_values"], row["deleted_values"]
        )
    )


def stored():
    """Everything that the trail holds, as Python writes it: -0.0 is not 0.0, and 1 is not 1.0.

    But for the fingerprints, which say nothing of their own.
    """
    models = (Event, ChangedField, DeletedValue, RelatedRecord)
    columns = {
        model: [it.attname for it in model._meta.concrete_fields if it.name != "fingerprint"]
        for model in models
    }
    return {
        model.__name__: [repr(row) for row in model.objects.order_by("pk").values_list(*own)]
        for model, own in columns.items()
    }


def delete_all():
    for model in (Delivery, RelatedRecord, DeletedValue, ChangedField, Event):
        model.objects.all().delete()
