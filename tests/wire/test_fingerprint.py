"""Which two bodies tell the same change."""

import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.fingerprint import fingerprint
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode
from tests.payloads import PAYLOADS


def of(**changes):
    wire = body(EventId="0f8fad5b-d9cb-469f-a165-70867728950e") | {"Values": {"contact_id": 4711}}
    wire |= changes
    return fingerprint(
        parse(encode({key: value for key, value in wire.items() if value is not ...}))
    )


SAME = {
    "another id": {"EventId": str(uuid4())},
    "no id": {"EventId": ...},
    "another webhook": {"WebhookName": "Second"},
    "no webhook": {"WebhookName": ...},
    "a key of the webhook's own": {"Environment": "Test"},
    "the fields in another order": {"Changes": ["updated", "orgNr", "name"]},
    "a field named twice": {"Changes": ["name", "orgNr", "updated", "name"]},
    "the values in another order": {
        "FieldValues": {"contact_id": 4711, "orgNr": "912345678", "name": "Fjordbygg AS"}
    },
    "the moment with zeros": {"Timestamp": "2026-03-02T09:15:27.12345670Z"},
    "the moment elsewhere": {"Timestamp": "2026-03-02T10:15:27.1234567+01:00"},
}
OTHER = {
    "tenant": {"ContextIdentifier": "Cust24681"},
    "event": {"Event": "contact.created"},
    "entity": {"Entity": "Contact"},
    "record": {"PrimaryKey": 4712},
    "associate": {"ChangedByAssociateId": 13},
    "a tenth of a microsecond": {"Timestamp": "2026-03-02T09:15:27.1234568Z"},
    "seven digits or six": {"Timestamp": "2026-03-02T09:15:27.123456Z"},
    "no fraction": {"Timestamp": "2026-03-02T09:15:27Z"},
    "a digit further": {"Timestamp": "2026-03-02T09:15:27.12345671Z"},
    "a field more": {"Changes": ["name", "orgNr", "updated", "phone"]},
    "a field fewer": {"Changes": ["name", "orgNr"]},
    "the case of a field": {"Changes": ["Name", "orgNr", "updated"]},
    "no fields": {"Changes": None},
    "a deleted value": {"Values": {"contact_id": 4712}},
    "the type of a deleted value": {"Values": {"contact_id": "4711"}},
    "no deleted values": {"Values": None},
    "a field value": {"FieldValues": {"name": "Fjordbygg ASA"}},
    "the order within a value": {"FieldValues": {"a": [1, 2]}},
    "no field values": {"FieldValues": None},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_what_is_not_of_the_change_makes_no_difference(changes):
    assert of(**changes) == of()


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_whatever_else_differs_makes_another_change(changes):
    assert of(**changes) not in (of(), None)


def test_each_difference_is_its_own():
    assert len({of(**changes) for changes in OTHER.values()}) == len(OTHER)


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, True, "1", "[I:1]"],
        [0, 0.0, -0.0, False, None, "", [], {}],
        [10**40, 10**40 + 1, 1e40],
        [{"a": {"b": 1}}, {"a": {"b": [1]}}, {"a.b": 1}],
        ["a", "A", "å", "a\u030a", "\u2028", '"a"'],
    ],
    ids=str,
)
def test_values_that_are_not_the_same_are_told_apart(values):
    assert len({of(FieldValues={"x": value}) for value in values}) == len(values)


def test_a_value_does_not_pass_from_one_part_to_another():
    assert of(Values={"x": 1}, FieldValues={}) != of(Values={}, FieldValues={"x": 1})
    assert of(Changes=["a", "b"]) != of(Changes=['a","b'])


def test_is_the_same_in_every_version():
    assert of() == UUID("9151d0b5-7169-668e-bac8-f840649b4f36")


def test_the_documented_payloads_are_as_many_changes():
    found = [fingerprint(parse(encode(wire))) for wire in PAYLOADS]
    assert len(set(found)) == len(PAYLOADS)


@pytest.mark.parametrize(
    ("flag", "raw"),
    [
        (Flag.LOSSY, rb'"FieldValues":{"a":"\ud83d"}'),
        (Flag.LOSSY, b'"FieldValues":{"a":0.1000000000000000000001}'),
        (Flag.LOSSY, encode({"Changes": ["x" * 256]})[1:-1]),
        (Flag.CAPPED, encode({"Changes": [f"f{number}" for number in range(2_001)]})[1:-1]),
        (Flag.DUPLICATE_KEYS, b'"FieldValues":{"a":1,"a":2}'),
    ],
    ids=str,
)
def test_of_a_body_that_says_more_than_is_kept_there_is_none(flag, raw):
    raw = (
        b'{"Event":"contact.changed","PrimaryKey":1,"Timestamp":"2026-03-02T09:15:27Z",'
        + raw
        + b"}"
    )
    payload = parse(raw)
    assert flag in payload.flags
    assert fingerprint(payload) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_never_raises_on_what_can_be_parsed(value):
    wire = body(Values={"x": value}, FieldValues={"y": value}, Changes=[str(value)])
    try:
        payload = parse(json.dumps(wire).encode())
    except PayloadError:
        return
    found = fingerprint(payload)
    assert found is None or isinstance(found, UUID)
