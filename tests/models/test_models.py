"""What the tables promise, on the database in use."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from tests.builders import body, post

pytestmark = pytest.mark.django_db

# Different texts that a tolerant collation takes for one.
LOOKALIKES = [
    "ABC",
    "abc",
    "abc ",
    "äbc",
    "a\N{COMBINING DIAERESIS}bc",
    "\N{FULLWIDTH LATIN SMALL LETTER A}bc",
    "ßss",
    "ssss",
]


def again(row, **changes):
    """Insert a copy of a row with other values; whether the database took it."""
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    fields.pop("id", None)
    fields.pop("fingerprint", None)
    try:
        with transaction.atomic():
            type(row)(**fields | changes).save(force_insert=True)
    except IntegrityError:
        return False
    return True


def test_an_event_is_there_once_by_all_four_parts_of_its_key():
    post(body())
    event = Event.objects.get()
    assert not again(event)
    assert not again(event, entity="other", action="other", webhook_name="other")
    assert again(event, event_id=uuid4())
    assert again(event, context_identifier="Other")
    assert again(event, name="contact.created")
    assert again(event, primary_key=4712)
    assert Event.objects.count() == 5


def test_an_event_names_a_field_once():
    post(body(Changes=["name", "name", "phone"]))
    field = ChangedField.objects.get(name="name")
    assert not again(field)
    assert not again(field, position=7)
    assert again(field, position=7, name="Name")


def test_an_event_holds_one_value_of_a_deleted_field():
    post(body(Values={"contact_id": 1}))
    value = DeletedValue.objects.get()
    assert not again(value, value=2)
    assert again(value, name="Contact_id")


def test_an_event_names_a_related_record_once():
    post(body(FieldValues={"person_id": 88}))
    row = RelatedRecord.objects.get()
    assert not again(row)
    assert again(row, primary_key=89)
    assert again(row, entity="contact")
    assert again(row, entity="Person")


def test_the_events_of_a_record_are_of_its_tenant_its_entity_and_its_key():
    for other in (
        {},
        {"Event": "contact.created"},
        {"PrimaryKey": 4712},
        {"Entity": "person"},
        {"ContextIdentifier": "cust24680"},
    ):
        post(body(**other))
    found = Event.objects.of_record("Cust24680", "contact", 4711)
    assert {event.name for event in found} == {"contact.changed", "contact.created"}
    assert found.count() == 2


def test_related_records_are_listed_newest_first():
    named = {"sale_id": 301}
    for second, key in ((28, 1), (29, 2), (28, 3)):
        post(body(Timestamp=f"2026-03-02T09:15:{second}Z", PrimaryKey=key, FieldValues=named))
    rows = RelatedRecord.objects.filter(entity="sale", primary_key=301)
    assert [row.event.primary_key for row in rows] == [2, 3, 1]


def test_tenants_that_look_alike_are_different_tenants():
    wire = body()
    for context in LOOKALIKES:
        assert post(wire | {"ContextIdentifier": context}).content == b"recorded\n"
    for context in LOOKALIKES:
        [event] = Event.objects.filter(context_identifier=context)
        assert event.context_identifier == context
        assert [e.pk for e in Event.objects.in_contexts([context])] == [event.pk]


def test_fields_that_look_alike_are_different_fields():
    post(body(Changes=LOOKALIKES, Values=dict.fromkeys(LOOKALIKES, 1)))
    event = Event.objects.get()
    assert [row.name for row in event.changed_fields.all()] == LOOKALIKES
    assert {row.name for row in event.deleted_values.all()} == set(LOOKALIKES)
    post(body(Changes=["ABC"]))
    assert [Event.objects.changing(name).count() for name in LOOKALIKES] == [2] + [1] * 7


def test_names_are_ordered_by_their_characters_on_every_database():
    post(body(Values=dict.fromkeys(["b", "a", "B", "_", "ä"], 1)))
    assert [row.name for row in DeletedValue.objects.all()] == ["B", "_", "a", "b", "ä"]


def test_events_of_one_moment_keep_a_stable_order():
    for key in (5, 3, 9, 1):
        post(body(PrimaryKey=key))
    post(body(PrimaryKey=7, Timestamp="2026-03-01T09:15:27Z"))
    assert [event.primary_key for event in Event.objects.all()] == [1, 9, 3, 5, 7]


def test_deliveries_are_listed_newest_first():
    for raw in (b"1", b"2", b"3"):
        post(raw)
    assert [bytes(delivery.body) for delivery in Delivery.objects.all()] == [b"3", b"2", b"1"]


def test_changed_fields_keep_the_order_of_the_wire():
    post(body(Changes=["z", "a", "m"]))
    rows = Event.objects.with_rows().get().changed_fields.all()
    assert [(row.position, row.name) for row in rows] == [(0, "z"), (1, "a"), (2, "m")]


@pytest.mark.skipif(
    connection.vendor != "mysql", reason="MariaDB's tables lie in their key's order"
)
@pytest.mark.parametrize("model", [ChangedField, RelatedRecord])
def test_the_rows_of_events_are_read_from_the_index_alone(model):
    for number in range(20):
        post(body(PrimaryKey=number, FieldValues={"person_id": 88}))
    [index] = model._meta.indexes
    sql, params = model.objects.filter(event__in=[1, 2]).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN {sql}".replace(" WHERE", f" FORCE INDEX ({index.name}) WHERE"), params
        )
        names = [column[0] for column in cursor.description]
        [plan] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    assert plan["key"] == index.name
    assert "Using index" in plan["Extra"].split("; ")


def test_every_row_has_a_readable_name():
    post(body(Values={"contact_id": 4711}))
    delivery = Delivery.objects.get()
    assert str(delivery.event) == "contact.changed 4711"
    assert str(ChangedField.objects.first()) == "name"
    assert str(DeletedValue.objects.get()) == "contact_id: 4711"
    assert str(RelatedRecord(entity="sale", primary_key=301)) == "sale 301"
    assert str(delivery) == f"default {delivery.received_at:%Y-%m-%d %H:%M:%S} recorded"


def test_an_event_with_its_evidence_cannot_be_deleted():
    post(body())
    with pytest.raises(ProtectedError):
        Event.objects.all().delete()
    assert Event.objects.count() == 1


def test_the_migrations_say_all_that_the_models_say():
    call_command("makemigrations", "superoffice_hooks", check=True, dry_run=True, verbosity=0)
