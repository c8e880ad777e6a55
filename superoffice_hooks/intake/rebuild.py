"""The rows of an event, derived again from the delivery that recorded it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from django.db import DatabaseError, models, router, transaction
from django.db.models.functions import Cast, Greatest, Length
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake.derived import (
    changed_fields_of,
    columns_of,
    deleted_values_of,
    related_records_of,
    rows_of,
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
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.packed import LARGEST_PACKED
from superoffice_hooks.wire.payload import Payload, parse

CHUNK: Final = 500  # events whose bodies are asked for their sizes at once
BUDGET: Final = 1024 * 1024  # bytes of bodies that are read at once; one may be larger
# Of an event's columns those that its body tells, and the id.
_COLUMNS: Final = [
    column.attname
    for column in Event._meta.concrete_fields
    if column.name not in ("received_at", "fingerprint", "twin_of")
]

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
    before: Any = field(repr=False)
    after: Any = field(repr=False)

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

    ``problem`` says why that is unknown, and ``detail`` what the parser says of it. ``error`` is
    the database's, where it could not tell or did not take it: then nothing was changed.
    """

    event_pk: int
    changes: tuple[Change, ...] = ()
    problem: Problem | None = None
    detail: str = ""
    error: DatabaseError | None = None


def rebuild(events: Iterable[int], write: bool) -> Iterator[Difference]:
    """Yield what differs between events' rows and what their deliveries give; ``write`` mends it.

    The events are given by their ids, and those that are there are told of in this order. The body
    of the delivery that recorded an event is read by today's parser. Everything that follows from
    it is compared, and written in one transaction: columns, changed fields, deleted values and
    related records. The key of an event never changes, nor whose twin it is. An event with a
    ``problem`` is left as it is.

    Many are compared at once, as far as the size of their bodies allows; what differs is compared
    again and written event by event. Must not be called in a transaction where it writes.
    """
    alias = router.db_for_write(Event)
    ahead = iter(events)
    while chunk := list(islice(ahead, CHUNK)):
        for pks in _portions(chunk, alias):
            for difference in _compared(pks, alias):
                if not (write and difference.changes):
                    yield difference
                elif mended := _mended(difference.event_pk, alias):
                    yield mended


def _portions(pks: Sequence[int], alias: str) -> Iterator[list[int]]:
    """Yield the ids, as many at once as the budget allows: bodies, and rows made of larger ones."""
    recorded = Delivery.objects.using(alias).filter(event__in=pks, outcome=Outcome.RECORDED)
    size: Any = Greatest(Length("body"), models.Value(LARGEST_PACKED))
    # A compressed body is of any size when it is unpacked, whatever its event says of it.
    flags = Cast("event__flags", models.TextField())
    for column in ("event__field_values", "event__properties"):
        size += Length(Cast(column, models.TextField()))
    # What no delivery is kept of is not read.
    sizes = dict.fromkeys(pks, 0)
    try:
        for pk, stored, told in recorded.order_by().values_list("event_id", size, flags):
            sizes[pk] += BUDGET if Flag.ENCODED in told else stored
    except DatabaseError:
        sizes = dict.fromkeys(pks, BUDGET)  # then each is asked for alone
    portion: list[int] = []
    total = 0
    for pk, weight in sizes.items():
        if portion and total + weight > BUDGET:
            yield portion
            portion, total = [], 0
        portion.append(pk)
        total += weight
    yield portion


@sensitive_variables()
def _compared(pks: Sequence[int], alias: str) -> list[Difference]:
    """Return what differs; what the database does not tell of all is asked of each."""
    try:
        return [difference for difference, _ in _compare(pks, alias)]
    except DatabaseError as error:
        if len(pks) == 1:
            return [Difference(pks[0], error=error)]
        return [difference for pk in pks for difference in _compared([pk], alias)]


@sensitive_variables()
def _mended(pk: int, alias: str) -> Difference | None:
    """Compare an event while nobody else can change it, and write what differs.

    ``None`` is for one that has gone meanwhile.
    """
    try:
        with transaction.atomic(using=alias, durable=True):
            event = Event.objects.using(alias).select_for_update().filter(pk=pk).first()
            if event is None:
                return None
            [(difference, payload)] = _compare([pk], alias)
            if payload is not None:
                _write(event, payload, {change.column for change in difference.changes}, alias)
    except DatabaseError as error:
        return Difference(pk, error=error)
    return difference


def _compare(pks: Sequence[int], alias: str) -> Iterator[tuple[Difference, Payload | None]]:
    """Yield what differs, and what the body says; a query for each table, for any number."""
    deliveries = Delivery.objects.using(alias).filter(event__in=pks, outcome=Outcome.RECORDED)
    recorded = {
        pk: (bytes(body), headers)
        # Of several the first has the last word.
        for pk, body, headers in deliveries.order_by("-pk").values_list(
            "event_id", "body", "headers"
        )
    }
    stored = _stored([pk for pk in pks if pk in recorded], alias)
    untold = {pk for pk in pks if pk not in recorded}
    if untold:
        events = Event.objects.using(alias).filter(pk__in=untold)
        untold = {*events.order_by().values_list("pk", flat=True)}
    for pk in pks:
        if pk in stored:
            yield _difference(pk, stored[pk], *recorded[pk])
        elif pk in untold:
            yield Difference(pk, problem=Problem.NO_DELIVERY), None


def _stored(pks: Sequence[int], alias: str) -> dict[int, dict[str, Any]]:
    """Return what the rows of events say, by their ids; of other rows as ``rows_of`` says it."""
    stored: dict[int, dict[str, Any]] = {
        row["id"]: row | {"changed_fields": [], "deleted_values": {}, "related_records": []}
        for row in Event.objects.using(alias).filter(pk__in=pks).order_by().values(*_COLUMNS)
    }
    changed = ChangedField.objects.using(alias).filter(event__in=stored)
    for pk, name in changed.order_by("event_id", "position").values_list("event_id", "name"):
        stored[pk]["changed_fields"].append(name)
    deleted = DeletedValue.objects.using(alias).filter(event__in=stored).order_by()
    for pk, name, value in deleted.values_list("event_id", "name", "value"):
        stored[pk]["deleted_values"][name] = value
    related = RelatedRecord.objects.using(alias).filter(event__in=stored).order_by()
    for record in related.values_list(
        "entity", "primary_key", "context_identifier", "occurred_at", "event_id"
    ):
        stored[record[-1]]["related_records"].append(record[:-1])
    for row in stored.values():
        row["related_records"].sort()
    return stored


def _difference(
    pk: int, stored: Mapping[str, Any], body: bytes, headers: Mapping[str, str]
) -> tuple[Difference, Payload | None]:
    try:
        payload = parse(body)
    except PayloadError as error:
        return Difference(pk, problem=Problem.UNREADABLE, detail=str(error)), None
    key = {
        "event_id": payload.event_id or stand_in(body, headers),
        "context_identifier": payload.context_identifier,
        "name": payload.name,
        "primary_key": payload.primary_key,
    }
    if key != {column: stored[column] for column in key}:
        return Difference(pk, problem=Problem.OTHER_KEY), None
    derived = columns_of(payload) | rows_of(payload)
    return Difference(pk, tuple(_changes(stored, derived))), payload


def _changes(stored: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[Change]:
    for column, after in derived.items():
        before = stored[column]
        if _is_same(before, after):
            continue
        if not (isinstance(before, dict) and isinstance(after, dict)):
            yield Change(column, "", before, after)
            continue
        for name in dict.fromkeys([*before, *after]):
            values = before.get(name, ABSENT), after.get(name, ABSENT)
            if not _is_same(*values) or (name in before) != (name in after):
                yield Change(column, name, *values)


def _is_same(before: Any, after: Any) -> bool:
    """Whether no database tells two values apart.

    PostgreSQL reads 1e23 back as an integer, and -0.0 without its sign. To Python ``True`` is 1.
    """
    kind = type(before)
    if kind is not type(after):
        is_number = {kind, type(after)} == {int, float}
        return is_number and Decimal(repr(before)) == Decimal(repr(after))
    if kind is dict:
        if before.keys() != after.keys():
            return False
        before, after = before.values(), [after[name] for name in before]
    elif kind is not list:
        return bool(before == after)
    return len(before) == len(after) and all(map(_is_same, before, after))


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
