"""The rows of an event, derived again from the delivery that recorded it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import models, router, transaction
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake.derived import (
    changed_fields_of,
    columns_of,
    deleted_values_of,
    related_records_of,
)
from superoffice_hooks.intake.settle import stand_in
from superoffice_hooks.models import (
    ChangedField,
    DeletedValue,
    Delivery,
    Event,
    Outcome,
    RelatedRecord,
)
from superoffice_hooks.wire.payload import Payload, parse

ABSENT: Final = "…"  # what stands for a value on the side that has none


class Problem(models.TextChoices):
    """Why an event cannot be rebuilt; it is left as it is."""

    NO_DELIVERY = "no_delivery", _("no delivery is kept that recorded it")
    UNREADABLE = "unreadable", _("this version cannot read the body that recorded it")
    OTHER_KEY = "other_key", _("its body would give another event")


@dataclass(frozen=True, slots=True)
class Change:
    """One column, one key in it, or one kind of rows that differs from what the body gives.

    ``name`` is the key, "" for the whole column. Of rows, ``before`` and ``after`` are lists.
    """

    column: str
    name: str
    before: Any
    after: Any

    @property
    def place(self) -> str:
        """Where it is, and of rows how many there are; no values."""
        if isinstance(self.before, list) and isinstance(self.after, list) and not self.name:
            return f"{self.column} ({len(self.before)} → {len(self.after)})"
        return f"{self.column}.{self.name}" if self.name else self.column

    def __str__(self) -> str:
        """The same with the values."""
        return f"{self.place}: {self.before!r} → {self.after!r}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What the rows of an event differ in from what its delivery gives today.

    ``problem`` says why that is unknown, and ``detail`` what the parser says of it.
    """

    event_pk: int
    changes: tuple[Change, ...] = ()
    problem: Problem | None = None
    detail: str = ""


@sensitive_variables()
def rebuild(event: Event, write: bool) -> Difference:
    """Return what differs between an event's rows and what its delivery gives; ``write`` mends it.

    The body of the delivery that recorded the event is read by today's parser. Everything that
    follows from it is compared, and written in one transaction: columns, changed fields, deleted
    values and related records. The key of an event never changes, nor whose twin it is. An event
    with a ``problem`` is left as it is.

    Raises ``django.db.DatabaseError`` where the database does not take it: then nothing was
    changed. Must not be called in a transaction where it writes.
    """
    alias = router.db_for_write(Event)
    events = Event.objects.using(alias)
    difference, _ = _compare(events.get(pk=event.pk), alias)
    if not (write and difference.changes):
        return difference
    with transaction.atomic(using=alias, durable=True):
        locked = events.select_for_update().get(pk=event.pk)
        difference, payload = _compare(locked, alias)
        if payload is not None:
            _write(locked, payload, {change.column for change in difference.changes}, alias)
    return difference


@sensitive_variables()
def _compare(event: Event, alias: str) -> tuple[Difference, Payload | None]:
    deliveries = Delivery.objects.using(alias).filter(event=event, outcome=Outcome.RECORDED)
    delivery = deliveries.order_by("pk").first()
    if delivery is None:
        return Difference(event.pk, problem=Problem.NO_DELIVERY), None
    body = bytes(delivery.body)
    try:
        payload = parse(body)
    except PayloadError as error:
        return Difference(event.pk, problem=Problem.UNREADABLE, detail=str(error)), None
    key = {
        "event_id": payload.event_id or stand_in(body, delivery.headers),
        "context_identifier": payload.context_identifier,
        "name": payload.name,
        "primary_key": payload.primary_key,
    }
    if key != {column: getattr(event, column) for column in key}:
        return Difference(event.pk, problem=Problem.OTHER_KEY), None
    derived = columns_of(payload)
    stored = {column: getattr(event, column) for column in derived}
    stored |= _rows(
        event.changed_fields.using(alias),
        event.deleted_values.using(alias),
        event.related_records.using(alias),
    )
    derived |= _rows(
        changed_fields_of(payload, event),
        deleted_values_of(payload, event),
        related_records_of(payload, event),
    )
    return Difference(event.pk, tuple(_changes(stored, derived))), payload


def _rows(
    changed: Iterable[ChangedField],
    deleted: Iterable[DeletedValue],
    related: Iterable[RelatedRecord],
) -> dict[str, Any]:
    """Return what the rows of an event say, without what they say in common."""
    return {
        "changed_fields": [row.name for row in sorted(changed, key=lambda row: row.position)],
        "deleted_values": {row.name: row.value for row in deleted},
        "related_records": sorted(
            [row.entity, row.primary_key, row.context_identifier, row.occurred_at]
            for row in related
        ),
    }


@sensitive_variables()
def _changes(stored: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[Change]:
    for column, after in derived.items():
        before = stored[column]
        if _plain(before) == _plain(after):
            continue
        if not (isinstance(before, dict) and isinstance(after, Mapping)):
            yield Change(column, "", before, after)
            continue
        for name in dict.fromkeys([*before, *after]):
            values = before.get(name, ABSENT), after.get(name, ABSENT)
            if _plain(values[0]) != _plain(values[1]) or (name in before) != (name in after):
                yield Change(column, name, *values)


def _plain(value: Any) -> Any:
    """Return what two values have in common where no database tells them apart.

    PostgreSQL reads 1e23 back as an integer, and -0.0 without its sign. To Python ``True`` is 1.
    """
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float):
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value


@sensitive_variables()
def _write(event: Event, payload: Payload, columns: set[str], alias: str) -> None:
    """Write what differs: these columns, and these kinds of rows."""
    told = {column: value for column, value in columns_of(payload).items() if column in columns}
    if told:
        Event.objects.using(alias).filter(pk=event.pk).update(**told)
    if "changed_fields" in columns:
        event.changed_fields.using(alias).delete()
        ChangedField.objects.using(alias).bulk_create(changed_fields_of(payload, event))
    if "deleted_values" in columns:
        event.deleted_values.using(alias).delete()
        DeletedValue.objects.using(alias).bulk_create(deleted_values_of(payload, event))
    if "related_records" in columns:
        event.related_records.using(alias).delete()
        RelatedRecord.objects.using(alias).bulk_create(related_records_of(payload, event))
