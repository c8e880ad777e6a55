"""The filters of ``api/events/``: each selects, and refuses what it cannot understand."""

import pytest

from tests.builders import body, post

URL = "/superoffice/api/events/"
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
BIG = 2**60 + 1

pytestmark = pytest.mark.django_db


def keys(client, query):
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return [event["primary_key"] for event in answer.json()["results"]]


@pytest.fixture
def reader(admin_client):
    post(body(PrimaryKey=1, Timestamp="2026-03-01T10:00:00Z", EventId=GUID))
    post(
        body(
            PrimaryKey=2,
            Timestamp="2026-03-02T10:00:00Z",
            Event="sale.sold",
            Entity="sale",
            ContextIdentifier="Acme ",
            Changes=["amount", "name"],
        )
    )
    post(
        body(
            PrimaryKey=BIG,
            Timestamp="2026-03-03T10:00:00Z",
            Event="status",
            Entity=...,
            ContextIdentifier="",
            Changes=["Name", "phone"],
        )
    )
    return admin_client


SELECTS = [
    ({}, [BIG, 2, 1]),
    ({"context_identifier": "Cust24680"}, [1]),
    ({"context_identifier": "cust24680"}, []),
    ({"context_identifier": "Acme "}, [2]),
    ({"context_identifier": "Acme"}, []),
    ({"context_identifier": ""}, [BIG]),
    ({"entity": "sale"}, [2]),
    ({"entity": "SALE"}, []),
    ({"action": "changed"}, [1]),
    ({"action": ""}, [BIG]),
    ({"name": "sale.sold"}, [2]),
    ({"name": "sale"}, []),
    ({"primary_key": BIG}, [BIG]),
    ({"primary_key": 2**63 - 1}, []),
    ({"primary_key": -(2**63)}, []),
    ({"event_id": GUID}, [1]),
    ({"event_id": GUID.replace("-", "").upper()}, [1]),
    ({"occurred_at_after": "2026-03-02T10:00:00Z"}, [BIG, 2]),
    ({"occurred_at_after": "2026-03-02T10:00:00.000001Z"}, [BIG]),
    ({"occurred_at_before": "2026-03-02T10:00:00Z"}, [2, 1]),
    ({"occurred_at_before": "2026-03-02T11:00:00+02:00"}, [1]),
    ({"occurred_at_after": "2026-03-02", "occurred_at_before": "2026-03-03"}, [2]),
    ({"changed_field": "name"}, [2, 1]),
    ({"changed_field": "Name"}, [BIG]),
    ({"changed_field": "absent"}, []),
    ({"changed_field": ["name", "amount"]}, [2]),
    ({"changed_field": ["amount", "name"]}, [2]),
    ({"changed_field": ["name", "absent"]}, []),
    ({"changed_field": "name", "entity": "contact"}, [1]),
    ({"entity": "sale", "context_identifier": ""}, []),
]


@pytest.mark.parametrize(("query", "selected"), SELECTS, ids=lambda value: str(value)[:60])
def test_a_filter_selects(reader, query, selected):
    assert keys(reader, query) == selected


REFUSED = [
    ("primary_key", "x"),
    ("primary_key", "1.5"),
    ("primary_key", str(2**63)),
    ("primary_key", "9" * 5000),
    ("primary_key", ""),
    ("event_id", "not-a-guid"),
    ("event_id", ""),
    ("occurred_at_after", "yesterday"),
    ("occurred_at_after", "2026-02-30T00:00:00Z"),
    ("occurred_at_after", ""),
    ("occurred_at_after", "0001-01-01T00:00:00+10:00"),
    ("occurred_at_before", "9999-12-31T23:59:59-10:00"),
    ("occurred_at_before", "noon"),
    ("occurred_at_before", ""),
    ("entity", ""),
    ("name", ""),
    ("changed_field", ""),
    ("changed_field", ["", "name"]),
    ("changed_field", ["name", "\0"]),
    ("changed_field", ["\0", "name"]),
    ("entity", "a\0b"),
    ("context_identifier", "\0"),
    ("event_id", "\0"),
    ("primary_key", "1\0"),
    ("entity", ["sale", "contact"]),
    ("primary_key", ["1", "2"]),
    ("entities", "sale"),
    ("entity__regex", "("),
    ("field_values__a", "1"),
    ("ordering", "id"),
    ("", "x"),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda value: ascii(value)[:30])
def test_what_cannot_be_answered_is_refused_by_the_name_of_the_parameter(reader, name, value):
    answer = reader.get(URL, {name: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [name]


def test_every_wrong_parameter_is_named_at_once(reader):
    answer = reader.get(URL, {"entities": "sale", "name": "", "color": "red"})
    assert set(answer.json()) == {"entities", "name", "color"}
    assert "entity" in answer.json()["entities"][0]


@pytest.mark.parametrize(
    "value", ["'", "%", "_", "\\", "[I:6]", "😀", "a" * 10_000, "\ud800"], ids=ascii
)
def test_no_text_upsets_a_filter(reader, value):
    value = value.encode("utf-8", "surrogatepass")
    for name in ("context_identifier", "entity", "action", "name", "changed_field"):
        assert keys(reader, {name: value}) == []
