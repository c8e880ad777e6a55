"""What a good delivery leaves behind."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.wire.payload import parse
from superoffice_hooks.wire.signature import key_id, sign
from tests.builders import body, encode, post
from tests.intake.cases import QUARANTINED, RECORDED
from tests.payloads import IDS, PAYLOADS

pytestmark = pytest.mark.django_db

EVENTS = [payload for payload in PAYLOADS if payload["Event"] != "test"]
EVENT_IDS = [name for name in IDS if name != "test"]


@pytest.mark.parametrize("wire", EVENTS, ids=EVENT_IDS)
def test_every_event_is_stored_once_with_all_it_says(wire, settings):
    first, second = post(wire), post(wire)
    assert (first.status_code, first.content) == (200, b"recorded\n")
    assert (second.status_code, second.content) == (200, b"duplicate\n")

    event = Event.objects.get()
    assert event.event_id == UUID(wire["EventId"])
    assert event.name == wire["Event"]
    assert f"{event.entity}.{event.action}" == wire["Event"]
    assert event.primary_key == wire["PrimaryKey"]
    assert event.context_identifier == wire["ContextIdentifier"]
    assert event.changed_by_associate_id == wire["ChangedByAssociateId"]
    assert event.webhook_name == wire["WebhookName"]
    assert event.occurred_at == datetime.fromisoformat(wire["Timestamp"])
    assert event.field_values == wire.get("FieldValues", {})
    assert event.properties == {}
    assert event.flags == []
    assert [row.name for row in event.changed_fields.all()] == wire["Changes"]
    assert {row.name: row.value for row in event.deleted_values.all()} == wire.get("Values", {})

    recorded, duplicate = Delivery.objects.order_by("id")
    assert (recorded.outcome, duplicate.outcome) == ("recorded", "duplicate")
    for delivery in (recorded, duplicate):
        assert delivery.event == event
        assert delivery.endpoint == "default"
        assert bytes(delivery.body) == encode(wire)
        assert delivery.signature == sign(encode(wire), settings.SECRET)
        assert delivery.key_id == key_id(settings.SECRET)
        assert delivery.reason == ""
    assert event.received_at == recorded.received_at


def test_the_test_event_leaves_a_delivery_and_no_event():
    wire = PAYLOADS[IDS.index("test")]
    for _ in range(2):
        response = post(wire, X_Hook_Test="true")
        assert (response.status_code, response.content) == (200, b"test\n")
    assert not Event.objects.exists()
    assert [delivery.outcome for delivery in Delivery.objects.all()] == ["test", "test"]
    assert {delivery.event_id for delivery in Delivery.objects.all()} == {None}


@pytest.mark.parametrize(("raw", "flags"), RECORDED)
def test_an_odd_body_is_recorded_whole(raw, flags):
    response = post(raw)
    assert (response.status_code, response.content) == (200, b"recorded\n")
    event, delivery = Event.objects.get(), Delivery.objects.get()
    assert bytes(delivery.body) == raw
    assert delivery.event == event
    assert set(event.flags) == flags

    # The rows are what today's parser makes of the bytes: nothing was bent by the database.
    payload = parse(bytes(delivery.body))
    assert [row.name for row in event.changed_fields.all()] == list(payload.changes)
    assert {row.name: row.value for row in event.deleted_values.all()} == payload.values
    if payload.event_id:
        assert event.event_id == payload.event_id
    for field in (
        "name",
        "entity",
        "action",
        "primary_key",
        "context_identifier",
        "changed_by_associate_id",
        "webhook_name",
        "occurred_at",
        "field_values",
        "properties",
    ):
        assert getattr(event, field) == getattr(payload, field), field
    assert post(raw).content == b"duplicate\n"
    assert Event.objects.count() == 1


@pytest.mark.parametrize(("raw", "reason"), QUARANTINED)
def test_an_unusable_body_is_quarantined_whole(raw, reason):
    response = post(raw)
    delivery = Delivery.objects.get()
    assert (response.status_code, response.content.decode()) == (
        200,
        f"quarantined: {delivery.reason}\n",
    )
    assert delivery.outcome == "quarantined"
    assert reason in delivery.reason
    assert bytes(delivery.body) == raw
    assert delivery.event is None
    assert not Event.objects.exists()


def test_the_same_key_with_other_bytes_is_a_conflict():
    wire = body()
    post(wire)
    response = post(wire | {"ChangedByAssociateId": 99})
    assert response.status_code == 200
    event = Event.objects.get()
    assert event.changed_by_associate_id == wire["ChangedByAssociateId"]
    conflict = Delivery.objects.get(outcome="quarantined")
    assert conflict.event == event
    assert "came before in other bytes" in conflict.reason
    assert parse(bytes(conflict.body)).changed_by_associate_id == 99
    assert post(wire).content == b"duplicate\n"
    assert ChangedField.objects.count() == len(wire["Changes"])


@pytest.mark.parametrize(
    "other",
    [
        {"ContextIdentifier": "Cust24681"},
        {"ContextIdentifier": "cust24680"},
        {"ContextIdentifier": "Cust24680 "},
        {"Event": "contact.softdeleted"},
        {"PrimaryKey": 4712},
    ],
    ids=str,
)
def test_one_guid_may_name_different_events(other):
    wire = body()
    assert post(wire).content == post(wire | other).content == b"recorded\n"
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    "spelling", ["{}", "{{{}}}", " {}"], ids=["plain", "in braces", "with a space"]
)
def test_one_guid_is_one_key_however_it_is_spelt(spelling):
    wire = body(EventId="0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab")
    post(wire)
    post(wire | {"EventId": spelling.format(wire["EventId"].upper())})
    assert Event.objects.count() == 1


def test_a_body_without_event_id_takes_the_headers():
    wire, event_id = body(EventId=...), "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    assert post(wire, X_SuperOffice_EventId=event_id).content == b"recorded\n"
    assert post(wire, X_SuperOffice_EventId=event_id).content == b"duplicate\n"
    assert Event.objects.get().event_id == UUID(event_id)


@pytest.mark.parametrize(
    "header",
    ["", "not-a-guid", "1" * 1000, str(UUID(int=0))],
    ids=["no", "odd", "long", "empty GUID"],
)
def test_without_any_event_id_the_body_determines_one(header):
    headers = {"X_SuperOffice_EventId": header} if header else {}
    wire = body(EventId=...)
    assert post(wire, **headers).content == b"recorded\n"
    assert post(wire, **headers).content == b"duplicate\n"
    assert post(wire | {"PrimaryKey": 1}, **headers).content == b"recorded\n"
    first, second = Event.objects.order_by("id")
    assert first.event_id != second.event_id


def test_the_empty_guid_names_no_event():
    for key in (1, 2):
        wire = body(EventId=str(UUID(int=0)), ChangedByAssociateId=key)
        assert post(wire).content == b"recorded\n"
    first, second = Event.objects.all()
    assert first.event_id != second.event_id
    assert UUID(int=0) not in (first.event_id, second.event_id)


def test_a_header_that_contradicts_the_body_is_kept_and_changes_nothing():
    wire = body()
    post(
        wire,
        x_superoffice_EVENT="sale.deleted",
        X_SUPEROFFICE_EVENTID="5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10",
        X_SuperOffice_Retry="minus two",
        X_Hook_Test="true",
        X_Forwarded_For="203.0.113.9",
    )
    event = Event.objects.get()
    assert (event.name, event.event_id) == ("contact.changed", UUID(wire["EventId"]))
    delivery = Delivery.objects.get()
    assert delivery.remote_address == "127.0.0.1"
    headers = delivery.headers
    assert headers["X-Superoffice-Event"] == "sale.deleted"
    assert headers["X-Superoffice-Eventid"] == "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    assert headers["X-Superoffice-Retry"] == "minus two"
    assert headers["X-Hook-Test"] == "true"
    assert headers["X-Forwarded-For"] == "203.0.113.9"


def test_superoffices_headers_are_kept_however_many_others_there_are():
    others = {f"X_Other_{number}": "x" for number in range(70)}
    event_id = "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    post(body(EventId=...), **others, X_SuperOffice_EventId=event_id)
    assert Event.objects.get().event_id == UUID(event_id)
    headers = Delivery.objects.get().headers
    assert headers["X-Superoffice-Eventid"] == event_id
    assert len(headers) == 64


def test_control_characters_in_a_header_are_kept_and_reach_no_log(caplog):
    post(b"not JSON", X_Odd="a\x01b\r\nX-Forged: yes\x1b[2J")
    assert Delivery.objects.get().headers["X-Odd"] == "a\x01b\r\nX-Forged: yes\x1b[2J"
    assert "Forged" not in caplog.text
    assert "is quarantined" in caplog.text


def test_credentials_are_no_evidence_and_long_headers_are_cut():
    post(
        body(), Authorization="Basic c2VjcmV0", Cookie="sessionid=1", X_Long="x" * 5000, X_Nul="\0"
    )
    headers = Delivery.objects.get().headers
    assert {"Authorization", "Cookie", "X-Superoffice-Signature"}.isdisjoint(headers)
    assert headers["X-Long"] == "x" * 1024
    assert headers["X-Nul"] == "\u2400"


def test_events_keep_a_stable_order_within_one_moment():
    for key in (3, 1, 2):
        post(body(PrimaryKey=key, Timestamp="2026-03-02T09:15:27.1234561Z"))
    post(body(PrimaryKey=4, Timestamp="2026-03-02T09:15:28Z"))
    keys = [event.primary_key for event in Event.objects.order_by("occurred_at", "id")]
    assert keys == [3, 1, 2, 4]
    assert [event.primary_key for event in Event.objects.all()] == keys[::-1]


def written(wire):
    """The tables that one post inserts into, in order, and how many statements there were."""
    with CaptureQueriesContext(connection) as queries:
        assert post(wire).content == b"recorded\n"
    made = [query["sql"] for query in queries]
    found = re.findall(r"INSERT INTO \W?superoffice_hooks_(\w+)", "\n".join(made))
    return found, len(made) - 2  # without the test's savepoint around them


# With rows in each table.
STATEMENTS = {"postgresql": 1, "sqlite": 5, "mysql": 5}


def test_one_transaction_stores_a_new_event():
    tables, statements = written(body(Values={"contact_id": 4711}))
    if connection.vendor == "postgresql":
        assert tables == ["event", "changedfield", "deletedvalue", "relatedrecord", "delivery"]
        assert statements == 1
    else:
        assert tables == ["event", "changedfield", "deletedvalue", "delivery"]
        assert statements == STATEMENTS[connection.vendor] - 1
    assert DeletedValue.objects.count() == 1
    assert not RelatedRecord.objects.exists()


@pytest.mark.parametrize("number", [1, 2, 1000])
def test_no_more_than_one_insert_stores_all_related_records(number):
    values = {f"a{key}.person_id": key for key in range(1, number + 1)}
    tables, statements = written(body(Values={"name": "x"}, FieldValues=values))
    assert tables == ["event", "changedfield", "deletedvalue", "relatedrecord", "delivery"]
    assert statements == STATEMENTS[connection.vendor]
    assert RelatedRecord.objects.count() == min(number, 50)


RELATED = {
    "activity.created": {("contact", 1201), ("person", 88)},
    "associate.changed": {("person", 412)},
    "chatsession.created": {("contact", 1201)},
    "person.changed": {("contact", 1201)},
    "project.deleted": {("associate", 12)},
    "projectmember.deleted": {("project", 77), ("person", 88), ("contact", 1201)},
    "relation.created": {("contact", 1201), ("person", 88)},
    "relation.deleted": set(),
    "sale.sold": set(),
    "salestakeholder.created": {("sale", 301), ("person", 88)},
    "y_equipment.changed": set(),
    "webhook19.started": set(),
}


@pytest.mark.parametrize(("name", "records"), RELATED.items(), ids=RELATED)
def test_the_other_records_that_an_event_names_are_stored(name, records):
    wire = PAYLOADS[IDS.index(name)]
    for _ in range(2):  # the second is a duplicate, and adds nothing
        post(wire)
    event = Event.objects.get()
    rows = list(RelatedRecord.objects.all())
    assert {(row.entity, row.primary_key) for row in rows} == records
    assert len(rows) == len(records)
    for row in rows:
        assert row.event == event
        assert row.context_identifier == wire["ContextIdentifier"]
        assert row.occurred_at == event.occurred_at


@pytest.mark.parametrize(
    ("field_values", "values", "records"),
    [
        pytest.param({"person_id": "[I:5]"}, {}, [("person", 5)], id="encoded"),
        pytest.param({"ContactId": "1201"}, {}, [("contact", 1201)], id="digits"),
        pytest.param({"person_id": 5}, {"person_id": 6}, [("person", 5), ("person", 6)], id="both"),
        pytest.param({"person_id": 5}, {"person_id": "5"}, [("person", 5)], id="one twice"),
        pytest.param({"sale_id": 2**63 - 1}, {}, [("sale", 2**63 - 1)], id="the largest"),
        pytest.param(
            {"source_table": 13, "source_record": 301}, {}, [("sale", 301)], id="one end alone"
        ),
        pytest.param({"person_id": 0, "sale_id": -1}, {}, [], id="none"),
        pytest.param({"person_id": True, "sale_id": None}, {}, [], id="no numbers"),
        pytest.param({"person_id": 2**63, "sale_id": 10**400}, {}, [], id="too large"),
        pytest.param({"person_id": [5], "sale_id": {"a": 5}}, {}, [], id="nested"),
        pytest.param({"contact_id": 4711, "ContactId": "4711"}, {}, [], id="its own"),
        pytest.param({"contact_id": 4712}, {}, [("contact", 4712)], id="another of its kind"),
        pytest.param(
            {"registered_associate_id": 12, "updated_associate_id": 13}, {}, [], id="stamps"
        ),
        pytest.param({"associate_id": 12}, {}, [("associate", 12)], id="our contact"),
    ],
)
def test_values_that_are_ids_name_records(field_values, values, records):
    post(body(FieldValues=field_values, Values=values))
    assert Event.objects.get().field_values == field_values
    rows = RelatedRecord.objects.order_by("entity", "primary_key")
    assert [(row.entity, row.primary_key) for row in rows] == records


def test_a_body_that_names_thousands_of_records_stores_fifty():
    many = {f"a{number}.contact_id": number for number in range(1, 5_000)}
    ends = {"destination_table": 6, "destination_record": 88}
    assert post(body(FieldValues=many | ends, Values=many)).content == b"recorded\n"
    assert RelatedRecord.objects.count() == 50
    assert RelatedRecord.objects.filter(entity="person", primary_key=88).exists()


def test_the_same_number_in_two_tenants_is_two_records():
    for tenant in ("Cust1", "cust1"):
        post(body(ContextIdentifier=tenant, FieldValues={"person_id": 5}))
    for tenant in ("Cust1", "cust1"):
        row = RelatedRecord.objects.get(context_identifier=tenant)
        assert row.event.context_identifier == tenant


@pytest.mark.parametrize(
    "second", [{"ChangedByAssociateId": 99}, {"Event": "test"}, {"PrimaryKey": "x"}], ids=str
)
def test_what_is_no_new_event_names_no_record(second):
    wire = body(FieldValues={"person_id": 5})
    post(wire)
    post(wire | second | {"FieldValues": {"person_id": 6}})
    assert RelatedRecord.objects.get().primary_key == 5


def test_the_moment_of_receipt_is_ours():
    before = datetime.now(UTC)
    post(body(Timestamp="2010-01-01T00:00:00Z"))
    assert before <= Event.objects.get().received_at <= datetime.now(UTC)
