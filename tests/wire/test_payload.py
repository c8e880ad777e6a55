import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.wire.payload import Payload, guid, parse
from tests.builders import body, encode
from tests.fuzz.strategies import DAMAGED, JSON, OBJECTS
from tests.intake.cases import QUARANTINED, RECORDED
from tests.payloads import IDS, PAYLOADS


@pytest.mark.parametrize("wire", PAYLOADS, ids=IDS)
def test_parse_says_what_the_body_says(wire):
    payload = parse(encode(wire))
    assert payload.name == wire["Event"]
    assert payload.event_id == UUID(wire["EventId"])
    assert payload.primary_key == wire["PrimaryKey"]
    assert payload.context_identifier == wire["ContextIdentifier"]
    assert payload.changed_by_associate_id == wire["ChangedByAssociateId"]
    assert payload.webhook_name == wire["WebhookName"]
    assert list(payload.changes) == wire["Changes"]
    assert payload.values == wire.get("Values", {})
    assert payload.field_values == wire.get("FieldValues", {})
    assert payload.properties == {}
    assert payload.flags == ()
    assert payload.is_test == (wire["Event"] == "test")


@pytest.mark.parametrize(
    ("event", "entity", "expected"),
    [
        ("contact.changed", "contact", ("contact", "changed")),
        ("contact.changed", "company", ("company", "changed")),
        ("contact.changed", None, ("contact", "changed")),
        ("list.category.created", None, ("list.category", "created")),
        ("list.110.changed", "", ("list.110", "changed")),
        ("webhook19.errors", None, ("webhook19", "errors")),
        ("ping", None, ("ping", "")),
        (".changed", None, ("", "changed")),
    ],
)
def test_the_event_is_split_at_its_last_dot(event, entity, expected):
    payload = parse(encode(body(Event=event, Entity=entity)))
    assert (payload.entity, payload.action) == expected


@pytest.mark.parametrize(
    ("sent", "microseconds"),
    [("27.1234567Z", 123456), ("27.9999999Z", 999999), ("27.27583Z", 275830), ("27Z", 0)],
)
def test_digits_below_a_microsecond_are_cut_not_rounded(sent, microseconds):
    payload = parse(encode(body(Timestamp=f"2026-03-02T09:15:{sent}")))
    assert payload.occurred_at == datetime(2026, 3, 2, 9, 15, 27, microseconds, UTC)


def test_an_offset_is_turned_into_utc():
    payload = parse(encode(body(Timestamp="2026-03-02T01:15:27+02:00")))
    assert payload.occurred_at == datetime(2026, 3, 1, 23, 15, 27, tzinfo=UTC)
    assert payload.occurred_at.tzinfo is UTC


def test_a_name_given_twice_is_kept_once_in_its_first_place():
    payload = parse(encode(body(Changes=["b", "a", "b", "B"])))
    assert payload.changes == ("b", "a", "B")


@pytest.mark.parametrize(("raw", "flags"), RECORDED)
def test_odd_bodies_are_read_and_flagged(raw, flags):
    assert set(parse(raw).flags) == flags


@pytest.mark.parametrize(("raw", "reason"), QUARANTINED)
def test_unusable_bodies_give_their_reason(raw, reason):
    with pytest.raises(PayloadError) as caught:
        parse(raw)
    assert reason in str(caught.value)


def test_the_position_is_where_the_text_breaks():
    with pytest.raises(PayloadError) as caught:
        parse(b'{"Event": "a.b" "PrimaryKey": 1}')
    assert caught.value.position == 16


@pytest.mark.parametrize(
    ("escaped", "shown"),
    [
        (r"a\u0000b", "a\u2400b"),
        (r"\ud800!", "\ufffd!"),
        (r"\ud83d\ude80", "🚀"),
        (r"\\u0000", r"\u0000"),
    ],
)
def test_what_a_column_cannot_hold_is_shown_by_a_substitute(escaped, shown):
    raw = encode(body(FieldValues={"note": ["@"]})).replace(b"@", escaped.encode())
    assert parse(raw).field_values == {"note": [shown]}


@pytest.mark.parametrize(
    ("digits", "kept"),
    [("1.5", 1.5), ("0.1", 0.1), ("1e999", "1e999"), ("9007199254740993.0", "9007199254740993.0")],
)
def test_a_number_that_no_double_holds_stays_the_text_it_was(digits, kept):
    raw = encode(body(FieldValues={"amount": "@"})).replace(b'"@"', digits.encode())
    assert parse(raw).field_values == {"amount": kept}


@pytest.mark.parametrize(
    "text",
    [
        "0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab",
        "0B7C1A52-3A55-4B14-8DF0-2F6F1A54C0AB",
        "0b7c1a523a554b148df02f6f1a54c0ab",
        "{0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab}",
        "(0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab)",
        " 0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab\n",
    ],
)
def test_a_guid_is_read_in_any_of_its_usual_forms(text):
    assert guid(text) == UUID("0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab")


@pytest.mark.parametrize(
    "text", ["", "7", "urn:uuid:0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab", "٣" * 32]
)
def test_other_texts_are_no_guid(text):
    assert guid(text) is None


def read(raw):
    """Return the payload or the error; anything else that is raised fails the test."""
    try:
        return parse(raw)
    except PayloadError as error:
        return error


@given(st.binary())
def test_no_bytes_escape_the_two_results(raw):
    assert isinstance(read(raw), PayloadError)


@given(OBJECTS)
def test_no_object_escapes_the_two_results(raw):
    assert isinstance(read(raw), Payload | PayloadError)


@given(DAMAGED)
def test_no_damage_to_a_body_escapes_the_two_results(raw):
    assert isinstance(read(raw), Payload | PayloadError)


@given(JSON)
def test_what_is_read_can_be_stored(value):
    payload = parse(json.dumps(body(FieldValues={"odd": value}), allow_nan=False).encode())
    text = json.dumps(payload.field_values, allow_nan=False, ensure_ascii=False)
    assert "\0" not in text
    assert json.loads(text.encode()) == payload.field_values
