"""Exports: any filtered list of the trail as CSV or NDJSON, and a manifest of what it holds.

Events are added and never changed. So the same selection in the same order up to the same id is
the same bytes at any later time: who lost the connection goes on after the last whole line that
arrived, and what a whole export holds can be found out by a second walk. Of deliveries this holds
but for a quarantined one that is processed again.
"""

import base64
import csv
import json
import logging
import re
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import router
from django.db.models import F, Max, Model, QuerySet, Sum, TextField
from django.db.models.functions import Cast, Length
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from superoffice_hooks import __version__
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.follow import settled
from superoffice_hooks.trail.history import Gap
from superoffice_hooks.trail.outages import Outage, outages
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.timeline import timeline

logger = logging.getLogger(__name__)

CHUNK = 500  # rows whose sizes are asked for at once
BUDGET = 1024 * 1024  # characters that are read at once; one row may be larger

# What one manifest looks at and lists, so that it ends within seconds and in bounded memory.
MAX_TENANTS = 1_000
MAX_RECORDS = 1_000
MAX_PAGES = 1_000  # of the stories of these records
MAX_GAPS = 1_000
MAX_OUTAGES = 1_000

Row = dict[str, Any]


def newest(model: type[Model]) -> int:
    """Return the id up to which an export of these rows can be made again, byte for byte.

    Must be asked outside of transactions. Raises ``UnsettledError`` where a transaction that
    writes events stays open.
    """
    if issubclass(model, Event):
        return settled()
    alias = router.db_for_write(model)
    top = model._default_manager.using(alias).aggregate(top=Max("pk"))["top"]
    return int(top or 0)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of an export: those of a filtered list, in its order, up to the id ``until``.

    ``rows`` are events or deliveries that ``user`` may see, ordered by ``occurred_at``,
    ``received_at`` or ``id``. ``filter`` says in words that JSON can hold what narrowed them, and
    ``after`` and ``before`` which period was asked for, ``None`` for no limit.
    """

    rows: QuerySet[Any]
    until: int
    user: Any
    filter: Mapping[str, Any]
    after: datetime | None = None
    before: datetime | None = None

    @property
    def source(self) -> "type[_Events] | type[_Deliveries]":
        """What reads these rows."""
        return _Events if issubclass(self.rows.model, Event) else _Deliveries

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
        at = order.removeprefix("-") if order.removeprefix("-") != "id" else "received_at"
        alias = router.db_for_write(self.rows.model)
        rows = (
            self.rows.using(alias)
            .filter(pk__lte=self.until)
            .order_by(order, "-id" if order.startswith("-") else "id")
            .values_list("pk", at, source.weight)
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

    def includes(self, pks: Collection[int]) -> set[int]:
        """Return which of these ids the selection has."""
        rows = self.rows.using(router.db_for_write(self.rows.model))
        within = rows.filter(pk__lte=self.until, pk__in=pks).order_by()
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


class _Events:
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
            found[pk]["changed_fields"].append(name)
        held = DeletedValue.objects.using(alias).filter(event_id__in=pks)
        for pk, name, value in held.order_by("event_id", "name").values_list(
            "event_id", "name", "value"
        ):
            found[pk]["deleted_values"][name] = value
        return found


class _Deliveries:
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
    weight = Length("body") + Length(Cast("headers", TextField())) + Length("reason")

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
            row["body_encoding"], row["body"] = _text(bytes(row["body"]))
        return found


def _text(body: bytes) -> tuple[str, str]:
    try:
        return "utf-8", body.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()


# Formats.


def moment_text(moment: datetime) -> str:
    """Return the moment as it stands in an export and in a place: ISO 8601 in UTC, with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _Encoder(json.JSONEncoder):
    def default(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return moment_text(value)
        return str(value) if isinstance(value, UUID) else super().default(value)


_encode = _Encoder(ensure_ascii=False, separators=(",", ":")).encode


class Format:
    """How rows are written; the bytes of a row are the same whatever comes before and after."""

    name: str
    content_type: str

    def head(self, columns: Sequence[str]) -> bytes:
        """Return what stands before the first row."""
        return b""

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return the lines of these rows."""
        raise NotImplementedError


class Ndjson(Format):
    """A JSON object a line, lossless: every value is of the type and the precision it came in."""

    name = "ndjson"
    content_type = "application/x-ndjson"

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return an object for each row."""
        lines = [_encode({name: row[name] for name in columns}) for row in rows]
        return "\n".join([*lines, ""]).encode()


class Csv(Format):
    """RFC 4180 for spreadsheets: lists and objects are JSON in their cells, formulas are text.

    It begins with a byte order mark, without which Excel reads UTF-8 as the code page of its
    country. Nothing of a text is lost but that an apostrophe can be added: see ``guarded``.
    """

    name = "csv"
    content_type = "text/csv; charset=utf-8"

    def head(self, columns: Sequence[str]) -> bytes:
        """Return the byte order mark and the names of the columns."""
        return b"\xef\xbb\xbf" + self._written([columns])

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return a line for each row; a line break within a cell is not its end."""
        return self._written([_cell(row[name]) for name in columns] for row in rows)

    def _written(self, rows: Iterable[Sequence[Any]]) -> bytes:
        lines = _Lines()
        csv.writer(lines).writerows(rows)
        return "".join(lines).encode()


class _Lines(list[str]):
    # StringIO takes four bytes for each character.
    write = list.append


NDJSON, CSV = Ndjson(), Csv()
FORMATS: dict[str, Format] = {format.name: format for format in (NDJSON, CSV)}


def _cell(value: Any) -> int | str:
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, int) or value is None:
        return "" if value is None else value
    if isinstance(value, datetime):
        return moment_text(value)
    return str(value) if isinstance(value, UUID) else guarded(_encode(value))


# What a spreadsheet may skip before a formula: white space, what cannot be seen, and a quote.
_SKIPPED = r"\s\x00-\x1f\u200b\ufeff\""
_FORMULA = r"=+\-@＝＋－＠"  # noqa: RUF001  # full-width, as East Asian keyboards give them
_AT_THE_BEGINNING = re.compile(rf"[{_SKIPPED}]*[{_FORMULA}]|[{_SKIPPED}]*?[\t\r\n]")
# A run is looked at once, from its beginning: a body may be megabytes of line breaks.
_WITHIN = re.compile(rf"(?<![;{_SKIPPED}])[;{_SKIPPED}]+(?=[{_FORMULA}])")


def guarded(text: str) -> str:
    """Return the text so that no spreadsheet takes it, or a part of it, for a formula.

    An apostrophe goes before what begins like one, and within the text where a formula would begin
    for a spreadsheet that parts cells at semicolons or tabs, as Excel does in half of Europe.
    """
    if ";" in text or "\t" in text or "\n" in text or "\r" in text:
        text = _WITHIN.sub(_with_apostrophe, text)
    return f"'{text}" if _AT_THE_BEGINNING.match(text) else text


def _with_apostrophe(run: re.Match[str]) -> str:
    parts = any(separator in run[0] for separator in ";\t\r\n")
    return f"{run[0]}'" if parts else run[0]


# What was exported.


@dataclass(slots=True)
class Tally:
    """How many bytes there were, and their SHA-256."""

    size: int = 0
    digest: Any = field(default_factory=sha256)

    def add(self, part: bytes) -> None:
        """Count these bytes too."""
        self.size += len(part)
        self.digest.update(part)


@dataclass(slots=True)
class Contents:
    """What an export holds, as far as it was written; of a bounded size.

    ``tallies`` are by the name of the format. ``first`` and ``last`` are moments.
    """

    selection: Selection
    tallies: dict[str, Tally]
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    tenants: set[str] = field(default_factory=set)
    records: dict[Record, None] = field(default_factory=dict)
    all_tenants: bool = True
    all_records: bool = True

    def add(self, rows: Sequence[Row]) -> None:
        """Take note of these rows."""
        source = self.selection.source
        moments = [row[source.moment] for row in rows]
        self.count += len(rows)
        self.first = min(moments if self.first is None else [self.first, *moments])
        self.last = max(moments if self.last is None else [self.last, *moments])
        for row in rows:
            tenant = row["context_identifier"]
            if tenant is None:
                continue  # a delivery without an event
            if tenant not in self.tenants:
                if len(self.tenants) < MAX_TENANTS:
                    self.tenants.add(tenant)
                else:
                    self.all_tenants = False
            if source is _Events and self.all_records:
                record = Record(tenant, row["entity"], row["primary_key"])
                if record not in self.records:
                    if len(self.records) < MAX_RECORDS:
                        self.records[record] = None
                    else:
                        self.all_records = False

    def manifest(self) -> dict[str, Any]:
        """Return what a recipient can check the export by, for JSON.

        The gap markers are those that show today. They are looked for in the first 1,000 tenants
        and records, and ``all_looked_at`` says whether those were all; that nothing else is
        missing from the trail it does not say.
        """
        selection = self.selection
        return {
            "what": selection.source.what,
            "filter": selection.filter,
            "order": selection.order,
            "until": selection.until,
            "made_at": moment_text(timezone.now()),
            "made_by": selection.user.get_username(),
            "made_with": f"superoffice_hooks {__version__}",
            "count": self.count,
            "first": self.first and moment_text(self.first),
            "last": self.last and moment_text(self.last),
            "files": {
                name: {"bytes": tally.size, "sha256": tally.digest.hexdigest()}
                for name, tally in self.tallies.items()
            },
            "outages": self._outages(),
            "gaps": self._gaps() if selection.source is _Events else None,
        }

    def _outages(self) -> dict[str, Any]:
        """Return when a webhook of these tenants was off, in the period that was asked for."""
        found: list[dict[str, Any]] = []
        complete = self.all_tenants
        for tenant in sorted(self.tenants):
            for outage in outages(tenant, self.selection.user):
                if not self._overlaps(outage):
                    continue
                if len(found) == MAX_OUTAGES:
                    complete = False
                    break
                started = outage.started
                found.append(
                    {
                        "context_identifier": tenant,
                        "webhook": outage.stopped.primary_key,
                        "stopped_at": moment_text(outage.stopped.occurred_at),
                        "stopped": outage.stopped.pk,
                        "started_at": started and moment_text(started.occurred_at),
                        "started": started and started.pk,
                    }
                )
        return {"tenants": len(self.tenants), "all_looked_at": complete, "found": found}

    def _overlaps(self, outage: Outage) -> bool:
        after, before = self.selection.after, self.selection.before
        if before is not None and outage.stopped.occurred_at > before:
            return False
        return after is None or outage.started is None or outage.started.occurred_at >= after

    def _gaps(self) -> dict[str, Any]:
        """Return the gaps just before exported events."""
        found: list[dict[str, Any]] = []
        technical, pages, looked_at = Technical(), 0, 0
        for record in self.records:
            # From the newest moment of the export back to its oldest.
            place = Place(self.last, self.selection.until + 1) if self.last else None
            while place is not None and self.first is not None and place.at >= self.first:
                if pages == MAX_PAGES or len(found) >= MAX_GAPS:
                    return {"records": looked_at, "all_looked_at": False, "found": found}
                pages += 1
                page = timeline(record, self.selection.user, technical, place)
                if page is None:
                    break
                gaps = [gap for entry in page.entries for gap in entry.gaps]
                exported = self.selection.includes({gap.until.pk for gap in gaps}) if gaps else ()
                found += [_gap(record, gap) for gap in gaps if gap.until.pk in exported]
                place = page.older
            looked_at += 1
        return {"records": looked_at, "all_looked_at": self.all_records, "found": found}


def _gap(record: Record, gap: Gap) -> dict[str, Any]:
    return {
        "kind": gap.kind.value,
        "context_identifier": record.context_identifier,
        "entity": record.entity,
        "primary_key": record.primary_key,
        "since": gap.since and gap.since.pk,
        "since_at": gap.since and moment_text(gap.since.occurred_at),
        "until": gap.until.pk,
        "until_at": moment_text(gap.until.occurred_at),
        "moved": [change.name for change in gap.moved],
    }


def manifest(selection: Selection) -> dict[str, Any]:
    """Return the manifest of the whole export of this selection, in every format.

    By a walk of its own: what is sent in parts, and resumed, passes here only in parts, and
    nothing of it is kept. The bytes are the same, so that their SHA-256 is too.
    """
    contents = Contents(selection, {name: Tally() for name in FORMATS})
    columns = selection.source.columns
    for name, tally in contents.tallies.items():
        tally.add(FORMATS[name].head(columns))
    for rows in selection.walk():
        contents.add(rows)
        for name, tally in contents.tallies.items():
            tally.add(FORMATS[name].lines(columns, rows))
    return contents.manifest()


class Export:
    """The bytes of an export, from the beginning or after the place of the last line received.

    They can be iterated over once. When they end, or are given up, one line in the log says who
    took what. ``contents`` is what was written so far.
    """

    def __init__(self, selection: Selection, format: Format, place: Place | None = None) -> None:
        self.selection = selection
        self.format = format
        self.place = place
        self.made_at = timezone.now()
        self.contents = Contents(selection, {format.name: Tally()})

    @property
    def name(self) -> str:
        """The name of a file for it, without what tells the format."""
        return f"superoffice-{self.selection.source.what}-{self.made_at:%Y%m%dT%H%M%SZ}"

    @property
    def filename(self) -> str:
        """The name of a file for it."""
        return f"{self.name}.{self.format.name}"

    def __iter__(self) -> Generator[bytes]:
        """Yield the bytes."""
        columns, tally = self.selection.source.columns, self.contents.tallies[self.format.name]
        whole = False
        try:
            if self.place is None and (head := self.format.head(columns)):
                tally.add(head)
                yield head
            for rows in self.selection.walk(self.place):
                part = self.format.lines(columns, rows)
                self.contents.add(rows)
                tally.add(part)
                del rows  # a row may have megabytes, and the next is on its way
                yield part
                del part
            whole = True
        finally:
            self._log(whole, tally)

    def _log(self, whole: bool, tally: Tally) -> None:
        # As JSON, no name and no filter brings a line break of its own.
        logger.info(
            "Export of %s as %s by %s %s: filter %s, order %s, from %s until %d, "
            "%d rows, %d bytes, SHA-256 %s",
            self.selection.source.what,
            self.format.name,
            json.dumps(self.selection.user.get_username()),
            "ended" if whole else "was broken off",
            json.dumps(self.selection.filter, default=str),
            self.selection.order,
            self.place or "the beginning",
            self.selection.until,
            self.contents.count,
            tally.size,
            tally.digest.hexdigest(),
        )


# Downloads.


def respond(
    request: HttpRequest, parts: Iterable[bytes], filename: str, content_type: str
) -> StreamingHttpResponse:
    """Return the response that streams these parts as a file, under WSGI and under ASGI.

    The view's transaction is over by then, and a reader who hangs up ends the iteration. HEAD is
    answered without beginning it.
    """
    headers = {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Cache-Control": "no-store",
    }
    if request.method == "HEAD":
        parts = ()
    if isinstance(request, ASGIRequest):
        return StreamingHttpResponse(_Asynchronous(parts), headers=headers)
    return StreamingHttpResponse(iter(parts), headers=headers)


class _Asynchronous:
    """Iterates in the thread of the request, where its database connection is.

    Django closes a response in that thread too; an asynchronous generator would be left to the
    garbage collector.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts = iter(parts)

    def __aiter__(self) -> "_Asynchronous":
        return self

    async def __anext__(self) -> bytes:
        part = await sync_to_async(self._next)()
        if part is None:
            raise StopAsyncIteration
        return part

    def _next(self) -> bytes | None:
        return next(self.parts, None)

    def close(self) -> None:
        """End the iteration."""
        if isinstance(self.parts, Generator):
            self.parts.close()
