"""NDJSON loses nothing, and CSV holds no formula."""

import base64
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail.formats import CSV, guarded
from tests.builders import body, post
from tests.payloads import PAYLOADS
from tests.trail.exports import (
    cells,
    delete_all,
    deliveries,
    exported,
    lines,
    restore,
    stored,
)

pytestmark = pytest.mark.django_db


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
        '"field_values":{"name":"Ås"},"properties":{"Environment":"Test"},"flags":[],'
        '"twin_of":null}\n'
    )


def test_a_moment_of_a_whole_second_has_no_fraction():
    post(body(Timestamp="2026-03-02T09:15:27Z"))
    assert lines(exported())[0]["occurred_at"] == "2026-03-02T09:15:27Z"


def test_what_is_exported_can_be_imported_to_an_equal_trail(odd):
    before, raw = stored(), exported()
    assert len(before["Event"]) == len(PAYLOADS) + 6  # one is a test
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
                assert cell.removeprefix("'") == ("" if value is None else str(value))


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
        '"{""name"":""Ås""}",{},[],'
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
