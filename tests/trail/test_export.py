"""Exports: complete, repeatable and resumable, in bounded memory; and what tells of them."""

import asyncio
import base64
import csv
import io
import json
import logging
import tracemalloc
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.handlers.asgi import ASGIHandler
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks import __version__
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.trail import export
from superoffice_hooks.trail.export import (
    CSV,
    FORMATS,
    NDJSON,
    Export,
    Selection,
    guarded,
    manifest,
    newest,
    respond,
)
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.scope import deliveries_for, events_for
from superoffice_hooks.wire.catalog import related_records
from tests.builders import body, post
from tests.payloads import PAYLOADS
from tests.trail.histories import MONDAY, store, told

pytestmark = pytest.mark.django_db

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
    return Selection(rows, **{"until": newest(rows.model), "user": user(), "filter": {}} | more)


def exported(rows=None, format=NDJSON, place=None, **more):
    return b"".join(Export(selection(rows, **more), format, place))


def lines(raw):
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def cells(raw):
    return [*csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))]


def restore(raw_lines):
    """Store again what the lines of an NDJSON export of events tell."""
    rows = [json.loads(line) for line in raw_lines]
    own = [field.name for field in Event._meta.concrete_fields]
    Event.objects.bulk_create([Event(**{name: row[name] for name in own}) for row in rows])
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
    """Everything that the trail holds, as Python writes it: -0.0 is not 0.0, and 1 is not 1.0."""
    models = (Event, ChangedField, DeletedValue, RelatedRecord)
    return {
        model.__name__: [repr(row) for row in model.objects.order_by("pk").values_list()]
        for model in models
    }


def delete_all():
    for model in (Delivery, RelatedRecord, DeletedValue, ChangedField, Event):
        model.objects.all().delete()


@pytest.fixture
def odd(db):
    """Events and deliveries of every kind, some of one moment."""
    for wire in PAYLOADS:
        post(wire)
    for number in range(3):
        odd = body(PrimaryKey=number, FieldValues=ODD_VALUES, Values=ODD_VALUES, Odd=ODD_VALUES)
        post(json.dumps(odd).encode())  # half a surrogate pair is no UTF-8
    post(body(Event="\N{GRINNING FACE}.=1+1", Entity=..., Changes=["b", "a", "=cmd", "@x"]))
    post(body(Timestamp="2026-03-02T09:15:27Z", Changes=None, FieldValues=None))
    post(body(Timestamp="2026-03-02T09:15:27", PrimaryKey=2**63 - 1, ChangedByAssociateId=-1))
    post(b"not JSON \xff;=1")
    post(b"\n\n-not JSON either")
    post(body(Event="test", Entity=...))


# NDJSON.


def test_a_line_holds_every_column_of_an_event():
    wire = body(
        EventId="0f8fad5b-d9cb-469f-a165-70867728950e",
        Changes=["name", "a"],
        Values={"x": 1},
        FieldValues={"name": "Ås"},
        Environment="Test",
    )
    post(wire)
    event = Event.objects.get()
    received = event.received_at.isoformat().replace("+00:00", "Z")
    assert exported().decode() == (
        f'{{"id":{event.pk},"event_id":"0f8fad5b-d9cb-469f-a165-70867728950e",'
        '"name":"contact.changed","entity":"contact","action":"changed","primary_key":4711,'
        '"context_identifier":"Cust24680","changed_by_associate_id":12,'
        '"webhook_name":"Audit trail","occurred_at":"2026-03-02T09:15:27.123456Z",'
        f'"received_at":"{received}","changed_fields":["name","a"],"deleted_values":{{"x":1}},'
        '"field_values":{"name":"Ås"},"properties":{"Environment":"Test"},"flags":[]}\n'
    )


def test_a_moment_of_a_whole_second_has_no_fraction():
    post(body(Timestamp="2026-03-02T09:15:27Z"))
    assert lines(exported())[0]["occurred_at"] == "2026-03-02T09:15:27Z"


def test_what_is_exported_can_be_imported_to_an_equal_trail(odd):
    before, raw = stored(), exported()
    assert len(before["Event"]) == len(PAYLOADS) + 5  # one is a test
    delete_all()
    assert stored() != before
    restore(raw.split(b"\n")[:-1])
    assert stored() == before
    assert exported() == raw


def test_a_line_holds_every_column_of_a_delivery(odd):
    found = {row["id"]: row for row in lines(exported(deliveries()))}
    assert len(found) == Delivery.objects.count()
    for delivery in Delivery.objects.all():
        row = found[delivery.pk]
        raw = row.pop("body").encode()
        if row.pop("body_encoding") == "base64":
            raw = base64.b64decode(raw)
        assert raw == bytes(delivery.body)
        assert row == {
            "id": delivery.pk,
            "endpoint": "default",
            "received_at": delivery.received_at.isoformat().replace("+00:00", "Z"),
            "outcome": delivery.outcome,
            "reason": delivery.reason,
            "event": delivery.event_id,
            "signature": delivery.signature,
            "key_id": delivery.key_id,
            "remote_address": "127.0.0.1",
            "headers": delivery.headers,
        }


# CSV.


def test_a_spreadsheet_reads_the_columns_in_the_order_of_the_api(odd):
    raw = exported(format=CSV)
    assert raw.startswith(b"\xef\xbb\xbfid,event_id,name,entity,action,primary_key,")
    assert raw.endswith(b"\r\n")
    head, *rows = cells(raw)
    found = lines(exported())
    assert head == list(found[0])
    assert len(rows) == len(found)
    for row, told_by_ndjson in zip(rows, found, strict=True):
        for cell, value in zip(row, told_by_ndjson.values(), strict=True):
            if isinstance(value, list | dict):
                assert json.loads(cell) == value
            else:
                assert cell.removeprefix("'") == str(value)


def test_a_line_of_csv_is_this():
    post(
        body(
            EventId="0f8fad5b-d9cb-469f-a165-70867728950e",
            Timestamp="2026-03-02T09:15:27Z",
            PrimaryKey=-5,
            WebhookName='=1+1, "x"',
            Changes=["a"],
            FieldValues={"name": "Ås"},
        )
    )
    event = Event.objects.get()
    received = event.received_at.isoformat().replace("+00:00", "Z")
    line = exported(format=CSV).split(b"\r\n")[1]
    assert line.decode() == (
        f"{event.pk},0f8fad5b-d9cb-469f-a165-70867728950e,contact.changed,contact,changed,-5,"
        f'Cust24680,12,"\'=1+1, ""x""",2026-03-02T09:15:27Z,{received},"[""a""]",{{}},'
        '"{""name"":""Ås""}",{},[]'
    )


def test_an_export_of_nothing_is_a_csv_with_a_header():
    assert cells(exported(format=CSV))[0][0] == "id"
    assert len(cells(exported(format=CSV))) == 1
    assert exported() == b""


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", ""),
        ("Fjordbygg AS", "Fjordbygg AS"),
        ("a=b", "a=b"),
        ("e-post", "e-post"),
        ('{"sale_id":-1}', '{"sale_id":-1}'),
        ("a; b", "a; b"),
        *((f"{sign}1", f"'{sign}1") for sign in "=+-@＝＋－＠"),  # noqa: RUF001
        ("  =1", "'  =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\0=1", "'\0=1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\t1", "'\t1"),
        (" \r1", "' \r1"),
        ("\n", "'\n"),
        ("a;=1", "a;'=1"),
        ('a; "=1', "a; \"'=1"),
        ("a\t-1", "a\t'-1"),
        ("a\n-1\n- 2", "a\n'-1\n'- 2"),
        ("a =1", "a =1"),
    ],
    ids=repr,
)
def test_what_a_spreadsheet_would_take_for_a_formula_is_text(text, cell):
    assert guarded(text) == cell


SIGNS = tuple("=+-@＝＋－＠")  # noqa: RUF001
SKIPPED = " \0\u00a0\ufeff"
TEXTS = st.text(st.sampled_from([*SIGNS, *SKIPPED, *"\t\r\n;,\"'a1é{["]), max_size=12) | st.text()
ROWS = st.lists(TEXTS, min_size=2, max_size=6)


def written(texts, number=0):
    """A CSV of two rows that begin with a number and hold these texts, alone and in a list."""
    values = [number, *texts, texts]
    columns = [str(column) for column in range(len(values))]
    return CSV.lines(columns, [dict(zip(columns, values, strict=True))] * 2).decode()


@given(ROWS, st.integers())
def test_no_cell_but_a_number_begins_like_a_formula(texts, number):
    for first, *others in csv.reader(io.StringIO(written(texts, number), newline="")):
        assert first == str(number)
        for cell in others:
            assert not cell.lstrip(SKIPPED).startswith((*SIGNS, *"\t\r\n"))


@given(ROWS, st.sampled_from(";\t"))
def test_nor_does_one_where_a_spreadsheet_parts_cells_at_another_sign(texts, delimiter):
    for row in csv.reader(io.StringIO(written(texts), newline=""), delimiter=delimiter):
        for cell in row:
            assert not cell.lstrip(f"{SKIPPED}\t\r\n").startswith(SIGNS)


@given(ROWS)
def test_a_cell_holds_the_text_but_for_apostrophes(texts):
    row, _ = csv.reader(io.StringIO(written(texts), newline=""))
    without = [text.replace("'", "") for text in texts]
    assert [cell.replace("'", "") for cell in row[1:-1]] == without


def test_megabytes_of_line_breaks_are_guarded_in_no_time():
    text = "\n;\t" * 1_000_000
    assert guarded(text) == f"'{text}"
    assert guarded(f"a{text}=") == f"a{text}'="


# Which rows, and in which order.


@pytest.fixture
def small_chunks(monkeypatch):
    """Read seven rows at a time."""
    monkeypatch.setattr(export, "CHUNK", 7)


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
    monkeypatch.setattr(export, "CHUNK", 3)
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


# The manifest.


@pytest.mark.parametrize("rows", [events, deliveries])
def test_a_manifest_tells_what_the_whole_export_is_whatever_came_since(odd, small_chunks, rows):
    chosen = selection(rows(), filter={"entity": ["contact"]}, user=user("kari"))
    whole = {name: b"".join(Export(chosen, format)) for name, format in FORMATS.items()}
    post(body())
    found = manifest(chosen)
    assert found["files"] == {
        name: {"bytes": len(raw), "sha256": sha256(raw).hexdigest()} for name, raw in whole.items()
    }
    sent = lines(whole["ndjson"])
    moments = sorted(row["occurred_at" if rows is events else "received_at"] for row in sent)
    assert found["count"] == len(sent)
    assert (found["first"], found["last"]) == (moments[0], moments[-1])
    assert (found["what"], found["order"], found["until"], found["made_by"]) == (
        rows.__name__,
        chosen.order,
        chosen.until,
        "kari",
    )
    assert found["filter"] == {"entity": ["contact"]}
    assert found["made_with"] == f"superoffice_hooks {__version__}"
    age = datetime.now(UTC) - datetime.fromisoformat(found["made_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert json.loads(json.dumps(found)) == found


def test_a_manifest_of_nothing():
    found = manifest(selection())
    assert (found["count"], found["first"], found["last"]) == (0, None, None)
    assert found["outages"] == {"tenants": 0, "all_looked_at": True, "found": []}
    assert found["gaps"] == {"records": 0, "all_looked_at": True, "found": []}


def webhook(hours, action, tenant="Cust24680"):
    return told(hours, action, entity="webhook7", primary_key=7, context_identifier=tenant)


def test_a_manifest_tells_when_a_webhook_of_its_tenants_was_off():
    stopped, started, again, _ = store(
        webhook(1, "errors"),
        webhook(3, "started"),
        webhook(20, "stopped"),
        webhook(1, "errors", "Another"),
    )
    store(told(2), told(10))
    found = manifest(selection(events(entity="contact")))["outages"]
    assert found == {
        "tenants": 1,
        "all_looked_at": True,
        "found": [
            {
                "context_identifier": "Cust24680",
                "webhook": 7,
                "stopped_at": "2026-03-02T10:00:00Z",
                "stopped": stopped.pk,
                "started_at": "2026-03-02T12:00:00Z",
                "started": started.pk,
            },
            {
                "context_identifier": "Cust24680",
                "webhook": 7,
                "stopped_at": "2026-03-03T05:00:00Z",
                "stopped": again.pk,
                "started_at": None,
                "started": None,
            },
        ],
    }


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (None, None, [1, 20]),
        (None, 0.5, []),
        (None, 1, [1]),
        (2, 2.5, [1]),
        (3, 19, [1]),
        (3.5, 19, []),
        (3.5, None, [20]),
        (500, None, [20]),
    ],
    ids=str,
)
def test_a_manifest_tells_of_outages_in_the_period_that_was_asked_for(after, before, expected):
    store(told(0), webhook(1, "errors"), webhook(3, "started"), webhook(20, "stopped"))
    period = {
        name: MONDAY + timedelta(hours=hours)
        for name, hours in (("after", after), ("before", before))
        if hours is not None
    }
    found = manifest(selection(**period))["outages"]["found"]
    expected = [(MONDAY + timedelta(hours=hours)).isoformat() for hours in expected]
    assert [outage["stopped_at"].replace("Z", "+00:00") for outage in found] == expected


def test_a_manifest_tells_the_gaps_before_its_events():
    first, second = store(
        told(1, "created", values={"name": "Before"}),
        told(2, changes=("orgNr",), values={"name": "After"}),
    )
    deleted, late = store(told(3, "deleted", primary_key=5), told(4, primary_key=5))
    found = manifest(selection())["gaps"]
    assert (found["records"], found["all_looked_at"]) == (2, True)
    assert sorted(found["found"], key=lambda gap: gap["until"]) == [
        {
            "kind": "moved",
            "context_identifier": "Cust24680",
            "entity": "contact",
            "primary_key": 4711,
            "since": first.pk,
            "since_at": "2026-03-02T10:00:00Z",
            "until": second.pk,
            "until_at": "2026-03-02T11:00:00Z",
            "moved": ["name"],
        },
        {
            "kind": "after_delete",
            "context_identifier": "Cust24680",
            "entity": "contact",
            "primary_key": 5,
            "since": deleted.pk,
            "since_at": "2026-03-02T12:00:00Z",
            "until": late.pk,
            "until_at": "2026-03-02T13:00:00Z",
            "moved": [],
        },
    ]
    without = manifest(selection(events().exclude(pk__in=[second.pk, late.pk])))["gaps"]
    assert (without["records"], without["found"]) == (2, [])
    assert manifest(selection(until=second.pk))["gaps"]["found"] == found["found"][-1:]


def test_a_manifest_finds_the_gaps_on_every_page_of_a_long_story():
    store(told(0, "deleted"), *(told(hours) for hours in range(1, 121)))
    assert len(manifest(selection())["gaps"]["found"]) == 120
    period = events(occurred_at__lte=MONDAY + timedelta(hours=30))
    assert len(manifest(selection(period))["gaps"]["found"]) == 30


def test_a_manifest_reads_of_a_story_the_pages_of_its_period(monkeypatch):
    monkeypatch.setattr(export, "MAX_PAGES", 1)
    store(told(0, "deleted"), *(told(hours) for hours in range(1, 201)))
    for first in (30, 100, 180):
        hours = (MONDAY + timedelta(hours=first), MONDAY + timedelta(hours=first + 19))
        found = manifest(selection(events(occurred_at__range=hours)))["gaps"]
        assert (found["all_looked_at"], len(found["found"])) == (True, 20)


@pytest.mark.parametrize("limit", ["MAX_RECORDS", "MAX_PAGES", "MAX_GAPS"])
def test_a_manifest_says_where_it_did_not_look_at_every_record(monkeypatch, limit):
    store(
        *(told(key, "deleted", primary_key=key) for key in (1, 2, 3)),
        *(told(10 + key, primary_key=key) for key in (1, 2, 3)),
    )
    whole = manifest(selection())["gaps"]
    assert (whole["records"], whole["all_looked_at"], len(whole["found"])) == (3, True, 3)
    monkeypatch.setattr(export, limit, 2)
    cut = manifest(selection())["gaps"]
    assert (cut["records"], cut["all_looked_at"], len(cut["found"])) == (2, False, 2)
    monkeypatch.setattr(export, limit, 3)
    assert manifest(selection())["gaps"] == whole


@pytest.mark.parametrize("limit", ["MAX_TENANTS", "MAX_OUTAGES"])
def test_a_manifest_says_where_it_did_not_look_at_every_tenant(monkeypatch, limit):
    for tenant in ("A", "B", "C"):
        store(told(1, context_identifier=tenant), webhook(2, "errors", tenant))
    whole = manifest(selection())["outages"]
    assert (whole["tenants"], whole["all_looked_at"], len(whole["found"])) == (3, True, 3)
    monkeypatch.setattr(export, limit, 2)
    cut = manifest(selection())["outages"]
    assert (cut["all_looked_at"], len(cut["found"])) == (False, 2)


def test_a_manifest_tells_of_nothing_outside_the_scope(settings):
    for tenant in ("Mine", "Theirs"):
        store(
            told(1, "deleted", context_identifier=tenant),
            told(2, context_identifier=tenant),
            webhook(3, "errors", tenant),
        )
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
    }
    found = manifest(selection())
    assert found["count"] == 3
    assert len(found["gaps"]["found"]) == len(found["outages"]["found"]) == 1
    assert "Theirs" not in json.dumps(found)


def test_a_manifest_of_deliveries_tells_the_outages_of_their_tenants():
    post(body())
    post(b"of no tenant")
    store(webhook(1, "errors"), webhook(1, "errors", "Another"))
    found = manifest(selection(deliveries()))
    assert [outage["context_identifier"] for outage in found["outages"]["found"]] == ["Cust24680"]
    assert found["gaps"] is None


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
