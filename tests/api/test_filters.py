"""The filters of ``api/events/``: each selects, and refuses what it cannot understand."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from superoffice_hooks.models import Event
from tests.builders import body, post

URL = "/superoffice/api/events/"
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
BIG = 2**60 + 1

pytestmark = pytest.mark.django_db


def keys(client, query):
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return [int(event["primary_key"]) for event in answer.json()["results"]]


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
            ChangedByAssociateId=7,
            WebhookName="Sales, all",
            FieldValues={
                "contact_id": 1,
                "sale_id": 2,
                "heading": "Skis",
                "amount": 99.5,
                "done": True,
            },
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
            WebhookName="",
            FieldValues={"contactId": "1", "x_contact": "[I:1]", "størrelse": 3, "0": "nil"}
            | {'a"b': "quote", "Infinity": "Infinity", "a.b__c$": True, "source_record": 1},
            Values={"contact_id": 1, "person_id": 4711, "text1": "x"},
        )
    )
    arrived = datetime(2026, 3, 9, tzinfo=UTC)
    for number, key in enumerate((2, 1, BIG)):
        Event.objects.filter(primary_key=key).update(received_at=arrived + timedelta(days=number))
    return admin_client


SELECTS = [
    ({}, [BIG, 2, 1]),
    ({"context_identifier": "Cust24680"}, [1]),
    ({"context_identifier": "cust24680"}, []),
    ({"context_identifier": "Acme "}, [2]),
    ({"context_identifier": "Acme"}, []),
    ({"context_identifier": ""}, [BIG]),
    ({"context_identifier__in": "Cust24680,Acme "}, [2, 1]),
    ({"context_identifier__in": "Acme ,,nobody"}, [BIG, 2]),
    ({"context_identifier__in": ""}, [BIG]),
    ({"entity": "sale"}, [2]),
    ({"entity": "SALE"}, []),
    ({"entity__in": "sale,contact"}, [2, 1]),
    ({"entity__in": "sale"}, [2]),
    ({"entity__in": "sale, contact"}, [2, 1]),
    ({"entity__in": "Sale"}, []),
    ({"entity__in": ",".join(["x"] * 49 + ["sale"])}, [2]),
    ({"action": "changed"}, [1]),
    ({"action": ""}, [BIG]),
    ({"action__in": "changed,sold"}, [2, 1]),
    ({"action__in": ",sold"}, [BIG, 2]),
    ({"name": "sale.sold"}, [2]),
    ({"name": "sale"}, []),
    ({"name__in": "sale.sold,status"}, [BIG, 2]),
    ({"primary_key": BIG}, [BIG]),
    ({"primary_key": 2**63 - 1}, []),
    ({"primary_key": -(2**63)}, []),
    ({"changed_by_associate_id": 7}, [2]),
    ({"changed_by_associate_id": 0}, []),
    ({"webhook_name": "Sales, all"}, [2]),
    ({"webhook_name": ""}, [BIG]),
    ({"webhook_name": "sales, all"}, []),
    ({"event_id": GUID}, [1]),
    ({"event_id": GUID.replace("-", "").upper()}, [1]),
    ({"occurred_at_after": "2026-03-02T10:00:00Z"}, [BIG, 2]),
    ({"occurred_at_after": "2026-03-02T10:00:00.000001Z"}, [BIG]),
    ({"occurred_at_before": "2026-03-02T10:00:00Z"}, [2, 1]),
    ({"occurred_at_before": "2026-03-02T11:00:00+02:00"}, [1]),
    ({"occurred_at_after": "2026-03-02", "occurred_at_before": "2026-03-03"}, [BIG, 2]),
    ({"occurred_at_after": "2026-03-02", "occurred_at_before": "2026-03-02"}, [2]),
    ({"received_at_after": "2026-03-10", "received_at_before": "2026-03-10"}, [1]),
    ({"occurred_at_before": "2026-03-03T00:00"}, [2, 1]),
    (
        {
            "occurred_at_after": "2026-03-02T10:00:00Z",
            "occurred_at_before": "2026-03-02T10:00:00Z",
        },
        [2],
    ),
    ({"received_at_after": "2026-03-10T00:00:00Z"}, [BIG, 1]),
    ({"received_at_after": "2026-03-10T00:00:00.000001Z"}, [BIG]),
    ({"received_at_before": "2026-03-10T00:00:00Z"}, [1, 2]),
    ({"received_at_before": "2026-03-10T00:00:00Z", "ordering": "-occurred_at"}, [2, 1]),
    ({"ordering": "occurred_at"}, [1, 2, BIG]),
    ({"ordering": "-occurred_at"}, [BIG, 2, 1]),
    ({"ordering": "received_at"}, [2, 1, BIG]),
    ({"ordering": "-received_at"}, [BIG, 1, 2]),
    ({"changed_field": "name"}, [2, 1]),
    ({"changed_field": "Name"}, [BIG]),
    ({"changed_field": "absent"}, []),
    ({"changed_field": ["name", "amount"]}, [2]),
    ({"changed_field": ["amount", "name"]}, [2]),
    ({"changed_field": ["name", "absent"]}, []),
    ({"changed_field": "name", "entity": "contact"}, [1]),
    ({"field_value": "contact_id:1"}, [2]),
    ({"field_value": "contact_id:4711"}, [1]),
    ({"field_value": "sale_id:2"}, [2]),  # the record's own key
    ({"field_value": "contact_id:4711", "primary_key": 1}, [1]),
    ({"field_value": "contactId:1"}, [BIG]),
    ({"field_value": "Contact_id:1"}, []),
    ({"field_value": "contact_id:2"}, []),
    ({"field_value": "heading:Skis", "primary_key": 2}, [2]),
    ({"field_value": "heading:skis", "primary_key": 2}, []),
    ({"field_value": "orgNr:912345678", "event_id": GUID}, [1]),
    ({"field_value": "amount:99.5", "primary_key": 2}, [2]),
    ({"field_value": "done:true", "primary_key": 2}, [2]),
    ({"field_value": "done:1", "primary_key": 2}, []),
    ({"field_value": "x_contact:1", "primary_key": BIG}, [BIG]),
    ({"field_value": "name:Fjordbygg AS", "primary_key": 1}, [1]),
    ({"field_value": ["contact_id:1", "person_id:1"]}, []),
    ({"field_value": ["contactId:1"] * 51}, [BIG]),
    *(
        ({"field_value": pair, "primary_key": BIG}, [BIG])
        for pair in ("størrelse:3", "0:nil", 'a"b:quote', "Infinity:Infinity", "a.b__c$:true")
    ),
    ({"field_value": "source_record:1", "primary_key": BIG}, [BIG]),
    *(
        ({"field_value": f"{name}:{value}", "primary_key": 1}, [])
        for name in ("99999999999", "-1", "1_0", "\u0663", "name", "$", '"', "\\")
        for value in ("NaN", "-Infinity", "1e999", "null", "[1]", "x")
    ),
    ({"deleted_value": "contact_id:1"}, [BIG]),
    ({"deleted_value": "person_id:4711"}, [BIG]),
    ({"deleted_value": "person_id:1"}, []),
    ({"deleted_value": ["contact_id:1", "person_id:4711"]}, [BIG]),
    ({"deleted_value": ["contact_id:1", "person_id:4712"]}, []),
    ({"deleted_value": "text1:x", "primary_key": BIG}, [BIG]),
    ({"deleted_value": "text1:", "primary_key": BIG}, []),
    ({"entity": "sale", "context_identifier": ""}, []),
]


@pytest.mark.parametrize(("query", "selected"), SELECTS, ids=lambda value: str(value)[:60])
def test_a_filter_selects(reader, query, selected):
    assert keys(reader, query) == selected


REFUSED = [
    *(
        (name, value)
        for name in ("primary_key", "changed_by_associate_id")
        for value in (
            "x",
            "1.5",
            str(2**63),
            "9" * 5000,
            "",
            "1\0",
            ["1", "2"],
            "\u0661",
            "1_0",
            "+1",
            " 1",
        )
    ),
    ("event_id", "not-a-guid"),
    ("event_id", ""),
    ("event_id", "\0"),
    *(
        (f"{field}_{side}", value)
        for field in ("occurred_at", "received_at")
        for side in ("after", "before")
        for value in (
            *(
                "yesterday",
                "noon",
                "",
                "2026-W10",
                "20260302",
                "9999-12-31T25:00",
                "2026-13-01",
                "2026-02-30T00:00:00Z",
                "0001-01-01T00:00:00+10:00",
            ),
            *("9999-12-31T23:59:59-10:00", ["2026-01-01", "2026-01-02"]),
        )
    ),
    ("entity", ""),
    ("entity", "a\0b"),
    ("entity", ["sale", "contact"]),
    ("entity__in", ""),
    ("entity__in", "sale,"),
    ("entity__in", "sale,\0"),
    ("entity__in", ["sale", "contact"]),
    ("name__in", ",".join(["x"] * 51)),
    ("action__in", "," * 50),
    ("webhook_name", ["a", "b"]),
    ("name", ""),
    ("changed_field", ""),
    ("changed_field", ["", "name"]),
    ("changed_field", ["name", "\0"]),
    ("changed_field", ["\0", "name"]),
    ("changed_field", [f"name{number}" for number in range(51)]),
    ("field_value", "contact_id"),
    ("field_value", ":21"),
    ("field_value", "%:1"),
    ("field_value", "%s%(x)s{x}:1"),
    ("ordering", "%"),
    ("%(x)s", "{x}"),
    ("field_value", ""),
    ("field_value", "name:Fjordbygg AS"),
    ("field_value", "contact_id:x"),
    ("field_value", "contact_id:0"),
    ("field_value", "contact_id: 21"),
    ("field_value", "contact_id:" + "9" * 5000),
    ("field_value", "updated_associate_id:12"),
    ("field_value", "source_record:1"),
    ("field_value", ["contact_id:1", "name:x"]),
    ("deleted_value", "contact_id"),
    ("deleted_value", "text1:x"),
    ("context_identifier", "\0"),
    ("entities", "sale"),
    ("entity__regex", "("),
    ("webhook_name__in", "a"),
    ("field_values__a", "1"),
    ("ordering", "id"),
    ("ordering", "entity"),
    ("ordering", "occurred_at,id"),
    ("ordering", ""),
    ("format", "json"),
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
    ("zone", "day"),
    [
        *(("America/Sao_Paulo", "2018-11-04"), ("Africa/Cairo", "2026-04-24")),
        *(("America/Havana", "2026-11-01"), ("America/Santiago", "2026-09-06")),
        *(("Europe/Oslo", "2026-03-29"), ("Europe/Oslo", "2026-10-25")),
    ],
)
def test_a_day_is_whole_where_its_midnight_is_missing_or_comes_twice(
    admin_client, settings, zone, day
):
    settings.TIME_ZONE = zone
    timezone.activate(zone)
    try:
        answer = admin_client.get(URL, {"occurred_at_after": day, "occurred_at_before": day})
    finally:
        timezone.deactivate()
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("field", ["occurred_at", "received_at"])
def test_a_span_that_ends_before_it_begins_is_refused(reader, field):
    span = {f"{field}_after": "2026-03-02T00:00:01Z", f"{field}_before": "2026-03-02T00:00:00Z"}
    answer = reader.get(URL, span)
    assert answer.status_code == 400
    assert list(answer.json()) == [f"{field}_after"]
    assert f"{field}_before" in answer.json()[f"{field}_after"][0]


SAYS = {
    "primary_key": ("x", "64 bits"),
    "occurred_at_after": ("x", "2026-03-02T09:15:27Z"),
    "occurred_at_before": ("2026-03-02T09:15:27 01:00", "%2B"),
    "ordering": ("x", "-occurred_at, occurred_at, -received_at, received_at"),
    "field_value": ("name:x", "primary_key"),
    "deleted_value": ("x", "contact_id:21"),
    "entity__in": (",".join("x" * 51), "50"),
    "event_id": ("x", "UUID"),
    "page_size": ("201", "200"),
    "cursor": ("x", "2026-03-02T09:15:27Z_4711"),
    "entities": ("x", "entity, entity__in"),
}


@pytest.mark.parametrize("name", SAYS)
def test_a_refusal_says_what_the_parameter_takes(reader, name):
    value, says = SAYS[name]
    assert says in reader.get(URL, {name: value}).json()[name][0]


@pytest.mark.parametrize(
    "value", ["'", "%", "_", "\\", "[I:6]", "😀", "a" * 10_000, "\ud800"], ids=ascii
)
def test_no_text_upsets_a_filter(reader, value):
    value = value.encode("utf-8", "surrogatepass")
    for name in ("context_identifier", "entity", "action", "name", "changed_field"):
        assert keys(reader, {name: value}) == []
    for name in ("field_value", "deleted_value"):
        for pair in (b"name:" + value, value + b":1"):
            assert keys(reader, {name: pair, "primary_key": 1}) == []
