"""The rows of an export: those of a filtered list, read in constant memory."""

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.db import router
from django.db.models import F, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Greatest, Length

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from superoffice_hooks.trail.place import Place
from superoffice_hooks.wire.packed import LARGEST_PACKED

CHUNK = 500  # rows whose sizes are asked for at once
BUDGET = 1024 * 1024  # characters that are read at once; one row may be larger

Row = dict[str, Any]


class Selection(NamedTuple):
    """The rows of an export: those of a filtered list, in its order, up to the id ``until``.

    ``rows`` are events or deliveries that ``user`` may see, ordered by ``occurred_at``,
    ``received_at`` or ``id``. ``filter`` says in words that JSON can hold what narrowed them, and
    ``after`` and ``before`` which period was asked for, ``None`` for no limit; ``tenants`` are
    those that were asked for, ``None`` for all.
    """

    rows: QuerySet[Any]
    until: int
    user: Any
    filter: Mapping[str, Any]
    after: datetime | None = None
    before: datetime | None = None
    tenants: Collection[str] | None = None

    @property
    def source(self) -> "type[EventRows] | type[DeliveryRows]":
        """What reads these rows."""
        return EventRows if issubclass(self.rows.model, Event) else DeliveryRows

    @property
    def order(self) -> str:
        """The first column of the order, with a hyphen where the list runs backwards."""
        order = str([*self.rows.query.order_by, *(self.rows.model._meta.ordering or ())][0])
        order = {"pk": "id", "-pk": "-id"}.get(order, order)
        if order.removeprefix("-") not in self.source.orders:
            raise ValueError(f"An export cannot be in the order of {order}.")
        return order

    def walk(self, place: Place | None = None) -> Iterator[list[Row]]:
        """Yield the rows after this place, some at a time, whatever their number and size.

        Each query is a transaction of its own and begins where the last one ended, by the index of
        the order. Asks the database that is written to: a replica may not have got so far.
        """
        order, source = self.order, self.source
        alias = router.db_for_write(self.rows.model)
        rows = (
            self.rows.using(alias)
            .filter(pk__lte=self.until)
            .order_by(order, "-id" if order.startswith("-") else "id")
            .values_list("pk", self.moment, source.weight)
        )
        more = True
        while more:
            chunk = list((rows if place is None else rows.filter(place.beyond(order)))[:CHUNK])
            more = len(chunk) == CHUNK
            if chunk:
                place = Place(at=chunk[-1][1], pk=chunk[-1][0])
            for pks in _portions(source.weigh({pk: size for pk, _, size in chunk}, alias)):
                found = source.read(pks, alias)
                yield [found.pop(pk) for pk in pks if pk in found]

    @property
    def moment(self) -> str:
        """The column whose time stands in a place."""
        column = self.order.removeprefix("-")
        return "received_at" if column == "id" else column

    def has(self, place: Place) -> bool:
        """Whether this is the place of one of the rows."""
        return place.pk in self.includes([place.pk], **{self.moment: place.at})

    def includes(self, pks: Collection[int], **conditions: Any) -> set[int]:
        """Return which of these ids the selection has, of those that meet the conditions."""
        rows = self.rows.using(router.db_for_write(self.rows.model))
        within = rows.filter(pk__lte=self.until, pk__in=pks, **conditions).order_by()
        return set(within.values_list("pk", flat=True))


def _portions(sizes: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield the ids, as many at once as the budget allows."""
    portion: list[int] = []
    total = 0
    for pk, size in sizes.items():
        if portion and total + size > BUDGET:
            yield portion
            portion, total = [], 0
        portion.append(pk)
        total += size
    if portion:
        yield portion


class EventRows:
    """Reads events, with their changed fields and deleted values."""

    what = "events"
    moment = "occurred_at"
    orders: ClassVar = ("occurred_at", "received_at", "id")
    columns: ClassVar = (
        "id",
        "event_id",
        "name",
        "entity",
        "action",
        "primary_key",
        "context_identifier",
        "changed_by_associate_id",
        "webhook_name",
        "occurred_at",
        "received_at",
        "changed_fields",
        "deleted_values",
        "field_values",
        "properties",
        "flags",
        "twin_of",
    )
    weight = Length(Cast("field_values", TextField())) + Length(Cast("properties", TextField()))

    @staticmethod
    def weigh(sizes: dict[int, int], alias: str) -> dict[int, int]:
        """Add to the sizes of these events those of their rows."""
        names = ChangedField.objects.using(alias).annotate(size=Length("name") + 50)  # a text's own
        held = DeletedValue.objects.using(alias).annotate(
            size=Length("name") + Length(Cast("value", TextField())) + 50
        )
        for rows in (names, held):
            within = rows.filter(event_id__in=sizes).order_by()
            for pk, size in within.values_list("event_id").annotate(Sum("size")):
                sizes[pk] += size or 0
        return sizes

    @classmethod
    def read(cls, pks: Sequence[int], alias: str) -> dict[int, Row]:
        """Return these events by their ids."""
        own = [name for name in cls.columns if name not in ("changed_fields", "deleted_values")]
        found = {
            row["id"]: row | {"changed_fields": [], "deleted_values": {}}
            for row in Event.objects.using(alias).filter(pk__in=pks).order_by().values(*own)
        }
        names = ChangedField.objects.using(alias).filter(event_id__in=pks)
        for pk, name in names.order_by("event_id", "position").values_list("event_id", "name"):
            if pk in found:
                found[pk]["changed_fields"].append(name)
        held = DeletedValue.objects.using(alias).filter(event_id__in=pks)
        for pk, name, value in held.order_by("event_id", "name").values_list(
            "event_id", "name", "value"
        ):
            if pk in found:
                found[pk]["deleted_values"][name] = value
        return found


class DeliveryRows:
    """Reads deliveries with their bodies, as text where they are UTF-8."""

    what = "deliveries"
    moment = "received_at"
    orders: ClassVar = ("received_at", "id")
    columns: ClassVar = (
        "id",
        "endpoint",
        "received_at",
        "outcome",
        "reason",
        "event",
        "signature",
        "key_id",
        "remote_address",
        "headers",
        "body_encoding",
        "body",
    )
    # A packed body is larger when it is read.
    weight = (
        Greatest(Length("body"), Value(LARGEST_PACKED))
        + Length(Cast("headers", TextField()))
        + Length("reason")
    )

    @staticmethod
    def weigh(sizes: dict[int, int], alias: str) -> dict[int, int]:
        """Return the sizes as they are."""
        return sizes

    @classmethod
    def read(cls, pks: Sequence[int], alias: str) -> dict[int, Row]:
        """Return these deliveries by their ids, and with them the tenants of their events."""
        own = [name for name in cls.columns if name != "body_encoding"]
        rows = Delivery.objects.using(alias).filter(pk__in=pks).order_by()
        found = {
            row["id"]: row
            for row in rows.values(*own, context_identifier=F("event__context_identifier"))
        }
        for row in found.values():
            row["body_encoding"], row["body"] = body_text(bytes(row["body"]))
        return found


def body_text(body: bytes) -> tuple[str, str]:
    """Return how a body is told, and its text: ``utf-8``, or ``base64`` of what is not UTF-8."""
    try:
        return "utf-8", body.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()
