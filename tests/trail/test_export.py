"""Exports: complete, repeatable and resumable, in bounded memory; and what tells of them."""

import asyncio
import logging
import tracemalloc
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from superoffice_hooks.trail import selection as selections
from superoffice_hooks.trail.export import Export, respond
from superoffice_hooks.trail.formats import CSV, FORMATS, NDJSON
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.scope import deliveries_for, events_for
from tests.builders import body, post
from tests.trail.exports import (
    DELIVERY_ORDERS,
    EVENT_ORDERS,
    cells,
    deliveries,
    events,
    exported,
    lines,
    selection,
    user,
)
from tests.trail.histories import MONDAY, store, told

pytestmark = pytest.mark.django_db


# Which rows, and in which order.


@pytest.mark.parametrize("order", EVENT_ORDERS)
def test_events_come_in_the_order_of_the_list(odd, small_chunks, order):
    expected = [event.pk for event in events(order)]
    assert [row["id"] for row in lines(exported(events(order)))] == expected
    assert len(expected) > 60


@pytest.mark.parametrize("order", DELIVERY_ORDERS)
def test_deliveries_come_in_the_order_of_the_list(odd, small_chunks, order):
    expected = [delivery.pk for delivery in deliveries(order)]
    assert [row["id"] for row in lines(exported(deliveries(order)))] == expected


def test_the_order_is_the_models_own_where_the_list_has_none(odd):
    assert exported(events_for(user())) == exported(events())
    assert exported(deliveries_for(user())) == exported(deliveries())
    assert exported(events_for(user()).order_by("-pk")) == exported(events("-id"))


@pytest.mark.parametrize("order", ["primary_key", "?", "-entity"])
def test_an_order_without_an_index_is_refused(order):
    with pytest.raises(ValueError, match="order"):
        exported(events_for(user()).order_by(order))


def test_a_list_is_exported_as_it_was_filtered_whatever_its_page_fetches(odd, small_chunks):
    plain = exported(events(entity="contact"))
    rows = events(entity="contact").with_rows().defer("field_values", "properties")
    assert exported(rows) == plain
    assert {row["entity"] for row in lines(plain)} == {"contact"}
    changing = events().changing("name")
    assert len(lines(exported(changing))) == changing.count() > 0
    rows = deliveries().select_related("event").defer("body", "event__field_values")
    assert exported(rows) == exported(deliveries())


def test_what_comes_during_an_export_is_not_in_it(odd, small_chunks):
    for order in EVENT_ORDERS:
        chosen = selection(events(order))
        before = b"".join(Export(chosen, NDJSON))
        parts = iter(Export(chosen, NDJSON))
        received = [next(parts)]
        for moment in ("2020-01-01T00:00:00Z", "2026-03-02T09:15:27Z", "2030-01-01T00:00:00Z"):
            post(body(Timestamp=moment))
        assert b"".join([*received, *parts]) == before


def test_the_queries_are_as_many_for_each_chunk_and_count_nothing(odd, small_chunks):
    chosen = selection()
    with CaptureQueriesContext(connection) as made:
        count = len(lines(b"".join(Export(chosen, NDJSON))))
    asked = [query["sql"] for query in made]
    chunks = [sql for sql in asked if "ORDER BY" in sql and "LIMIT 7" in sql]
    assert len(chunks) == count // 7 + 1
    assert len(asked) <= 6 * len(chunks)
    assert not [sql for sql in asked if "OFFSET" in sql or "COUNT(*)" in sql]


# Resuming.


def last_whole_row(raw, format):
    """Return what arrived whole of an export that broke off: with its last whole row, or none."""
    if format is NDJSON:
        return raw[: raw.rfind(b"\n") + 1]
    end = len(raw)
    while (end := raw.rfind(b"\r\n", 0, end)) >= 0:
        if raw[: end + 2].count(b'"') % 2 == 0:  # no quoted cell is open
            return raw[: end + 2]
    return b""


def cursor(raw, format, order):
    """Return what a reader finds as the place of the last row that arrived, ``None`` for none."""
    rows = lines(raw) if format is NDJSON else cells(raw)[1:]
    if not rows:
        return None
    row = rows[-1] if format is NDJSON else dict(zip(cells(raw)[0], rows[-1], strict=True))
    at = "occurred_at" if order.endswith("occurred_at") else "received_at"
    return Place.read(f"{row[at]}_{row['id']}")


@pytest.fixture
def few(db):
    """A few rows that are hard to cut, some of one moment."""
    for number in range(6):
        post(body(Timestamp=f"2026-03-02T09:00:0{number // 2}Z", WebhookName='"a\r\nb",\r\n";=1'))
    post(b'not JSON "\r\n" \xff')
    post(b'not JSON "\r\n"')
    Delivery.objects.update(received_at=MONDAY)
    first = Delivery.objects.earliest("id")
    Delivery.objects.filter(pk=first.pk).update(received_at=MONDAY + timedelta(seconds=1))


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    ("rows", "order"),
    [*((events, order) for order in EVENT_ORDERS), *((deliveries, o) for o in DELIVERY_ORDERS)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_resumed_export_is_the_whole_one_wherever_it_was_cut(
    few, monkeypatch, rows, order, format
):
    monkeypatch.setattr(selections, "CHUNK", 3)
    chosen = selection(rows(order))
    whole = b"".join(Export(chosen, format))
    resumed = {}
    for cut in range(len(whole) + 1):
        received = last_whole_row(whole[:cut], format)
        if received not in resumed:
            place = cursor(received, format, order)
            resumed[received] = b"".join(Export(chosen, format, place))
            if place is None:  # nothing arrived but, maybe, a header: it begins again
                assert resumed[received] == whole
                resumed[received] = whole.removeprefix(received)
        assert received + resumed[received] == whole
    assert len(resumed) == len(chosen.rows) + (2 if format is CSV else 1)
    assert resumed[whole] == b""


# Memory.


def test_bodies_that_are_packed_well_are_not_read_too_many_at_once(monkeypatch):
    body = b"[" + b" " * 4_000 + b"]"
    Delivery.objects.bulk_create(
        Delivery(endpoint="default", received_at=MONDAY, outcome="quarantined", body=body)
        for _ in range(300)
    )
    read, sizes = selections.DeliveryRows.read, []

    def note(pks, alias):
        sizes.append(len(pks))
        return read(pks, alias)

    monkeypatch.setattr(selections.DeliveryRows, "read", note)
    assert len(lines(exported(deliveries("id")))) == 300
    assert len(sizes) == 2
    assert max(sizes) * len(body) <= selections.BUDGET


def peak_of(iterate):
    tracemalloc.start()
    try:
        iterate()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_does_not_grow_with_the_number_of_events():
    store(*(told(number / 60, changes=("name",), values={"a": "x"}) for number in range(1_250)))
    quote = connection.ops.quote_name
    table = quote(Event._meta.db_table)
    columns = [field.column for field in Event._meta.concrete_fields if field.column != "id"]
    into = ", ".join(map(quote, columns))

    def export_all():
        for _ in Export(chosen, NDJSON):
            pass

    chosen = selection()
    export_all()  # what is remembered from the first time on is no growth
    few = peak_of(export_all)
    for doubling in range(4):
        values = into.replace(
            quote("primary_key"), f"{quote('primary_key')} + {10_000 * 2**doubling}"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {table} ({into}) SELECT {values} FROM {table}")
    chosen = selection()
    many = peak_of(export_all)
    assert Event.objects.count() == 20_000
    assert many < few + 1024 * 1024
    assert many < 6 * 1024 * 1024


LARGE = "x" * 1_000_000


def large_field_values(event):
    event.field_values = {"text": LARGE}
    event.save(force_insert=True)


def large_properties(event):
    event.properties = {"text": LARGE}
    event.save(force_insert=True)


def large_deleted_value(event):
    event.save(force_insert=True)
    DeletedValue.objects.create(event=event, name="text", value=LARGE)


def large_body(event):
    event.save(force_insert=True)
    Delivery.objects.create(
        endpoint="default",
        received_at=event.received_at,
        outcome="recorded",
        event=event,
        body=LARGE.encode(),
    )


@pytest.mark.parametrize(
    ("rows", "make"),
    [
        (events, large_field_values),
        (events, large_properties),
        (events, large_deleted_value),
        (deliveries, large_body),
    ],
)
def test_large_rows_are_read_a_few_at_a_time(rows, make):
    [event] = store(told(0))
    for _ in range(20):
        event.pk, event.event_id = None, uuid4()
        make(event)
    parts, sizes = iter(Export(selection(rows()), NDJSON)), []
    assert peak_of(lambda: sizes.extend(len(part) for part in parts)) < 12_000_000
    assert sum(sizes) > 20_000_000


def test_many_names_of_changed_fields_are_read_a_few_events_at_a_time():
    stored_events = store(*(told(number) for number in range(40)))
    ChangedField.objects.bulk_create(
        ChangedField(event=event, position=position, name=f"{position:04}" + "n" * 200)
        for event in stored_events
        for position in range(1_000)
    )
    chosen = selection()
    assert peak_of(lambda: [len(part) for part in Export(chosen, NDJSON)]) < 12_000_000


# The log.


def test_each_export_leaves_a_line_of_who_took_what(odd, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    chosen = selection(events(entity="contact"), filter={"entity": ["contact"]})
    raw = b"".join(Export(chosen, NDJSON))
    [record] = caplog.records
    assert (record.name, record.levelname) == ("superoffice_hooks.trail.export", "INFO")
    assert record.getMessage() == (
        'Export of events as ndjson by "auditor" ended: filter {"entity": ["contact"]}, order '
        f"-occurred_at, from the beginning until {chosen.until}, {len(lines(raw))} rows, "
        f"{len(raw)} bytes, SHA-256 {sha256(raw).hexdigest()}"
    )


def test_an_export_that_is_given_up_says_so_and_how_far_it_got(odd, small_chunks, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    parts = iter(Export(selection(), NDJSON))
    raw = next(parts) + next(parts)
    assert not caplog.records
    parts.close()
    [message] = caplog.messages
    assert 'by "auditor" was broken off: ' in message
    assert message.endswith(f" 14 rows, {len(raw)} bytes, SHA-256 {sha256(raw).hexdigest()}")


def test_a_resumed_export_says_where_it_began(odd, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    place = Place.of(events()[10])
    exported(place=place, format=CSV)
    [message] = caplog.messages
    assert message.startswith('Export of events as csv by "auditor" ended: ')
    assert f", from {place} until " in message


def test_an_export_that_fails_is_in_the_log_too(odd, small_chunks, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    parts = iter(Export(selection(), NDJSON))
    next(parts)

    def hang_up(*args):
        raise OperationalError

    with connection.execute_wrapper(hang_up), pytest.raises(OperationalError):
        next(parts)
    assert "was broken off" in caplog.text


def test_a_line_of_the_log_is_one_line_and_tells_no_values(caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    post(body(FieldValues={"name": "Hemmelig AS"}))
    named = {"user": user("a\nINFO forged"), "filter": {"q": ["\r\n\u2028x"]}}
    raw = exported(**named)
    [message] = caplog.messages
    assert message.isascii()
    assert len(message.splitlines()) == 1
    assert b"Hemmelig" in raw
    assert "Hemmelig" not in message


# Downloads.


def download(request):
    """A view, as the admin and the API have one."""
    made = Export(selection(), NDJSON)
    return respond(request, made, made.filename, made.format.content_type)


def test_a_download_is_a_file_that_nothing_keeps(odd):
    expected = exported()
    answer = download(RequestFactory().get("/"))
    assert b"".join(answer.streaming_content) == expected
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Cache-Control"] == "no-store"
    name = answer["Content-Disposition"].removeprefix('attachment; filename="').removesuffix('"')
    made_at = datetime.strptime(name, "superoffice-events-%Y%m%dT%H%M%SZ.ndjson")
    assert abs(datetime.now(UTC) - made_at.replace(tzinfo=UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory], ids=["WSGI", "ASGI"])
def test_head_begins_no_export(odd, caplog, factory):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    answer = download(factory().head("/"))

    async def read():
        return [part async for part in answer]

    received = async_to_sync(read)() if answer.is_async else [*answer]
    answer.close()
    assert received == []
    assert answer["Content-Disposition"].endswith('.ndjson"')
    assert not caplog.messages


def test_a_reader_who_hangs_up_ends_the_export_under_wsgi(odd, small_chunks, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    answer = download(RequestFactory().get("/"))
    next(iter(answer))
    answer.close()
    [message] = caplog.messages
    assert "was broken off" in message
    assert " 7 rows" in message


class Site(ASGIHandler):
    """Django's own way from a request to the wire, around the one view."""

    async def get_response_async(self, request: HttpRequest):
        return await sync_to_async(download)(request)


@pytest.fixture
def talk():
    """Ask by ASGI and return what was sent, hanging up after so many parts."""

    def talk(parts):
        sent = []

        async def conversation():
            asked, enough = asyncio.Event(), asyncio.Event()

            async def receive():
                if not asked.is_set():
                    asked.set()
                    return {"type": "http.request", "body": b"", "more_body": False}
                await enough.wait()
                return {"type": "http.disconnect"}

            async def send(message):
                sent.append(message)
                if len(sent) > parts:
                    enough.set()
                    await asyncio.sleep(0.05)

            scope = AsyncRequestFactory().get("/").scope | {"type": "http"}
            await Site()(scope, receive, send)

        async_to_sync(conversation)()
        return b"".join(message.get("body", b"") for message in sent)

    return talk


@pytest.mark.django_db(transaction=True)
def test_under_asgi_it_is_streamed_too(odd, small_chunks, talk, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    expected = exported()
    caplog.clear()
    assert talk(1_000) == expected
    [message] = caplog.messages
    assert "ended" in message


@pytest.mark.django_db(transaction=True)
def test_a_reader_who_hangs_up_ends_the_export_under_asgi(odd, small_chunks, talk, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    received = talk(2)
    [message] = caplog.messages
    assert "was broken off" in message
    rows = int(message.partition(" rows,")[0].rpartition(" ")[2])
    assert len(lines(received)) == 14
    assert 14 <= rows <= 28


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_it_is_sent(odd, small_chunks):
    answer = download(RequestFactory().get("/"))
    for _ in answer:
        assert not connection.in_atomic_block
        if connection.vendor == "postgresql":
            assert connection.connection.info.transaction_status.name == "IDLE"
        if connection.vendor == "sqlite":
            assert not connection.connection.in_transaction
