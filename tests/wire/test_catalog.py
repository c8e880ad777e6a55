"""What is known of entities, and which records a value names."""

import pytest

from superoffice_hooks.wire.catalog import (
    ENTITIES,
    ENTITY_OF_TABLE,
    MAX_RELATED,
    _remembered,
    has_created,
    is_own_key,
    linked_ends,
    linked_key,
    linked_record,
    links,
    related_records,
    same_field,
)
from tests.payloads import PAYLOADS


def test_every_known_action_has_a_payload_in_the_tests():
    known = {f"{name}.{action}" for name, entity in ENTITIES.items() for action in entity.actions}
    assert known <= {payload["Event"] for payload in PAYLOADS}


def test_tables_name_entities():
    assert ENTITY_OF_TABLE[5] == "contact"
    assert ENTITY_OF_TABLE[9] == "activity"
    assert None not in ENTITY_OF_TABLE


@pytest.mark.parametrize(
    "spellings",
    [
        ("associate_id", "associateId", "AssociateId", "ASSOCIATE_ID"),
        ("chatSession.topicId", "TopicId", "topic_id", "CHATSESSION.topicId"),
        ("name",),
        ("",),
    ],
    ids=lambda spellings: spellings[0],
)
def test_spellings_of_one_field_are_one_field(spellings):
    assert len({same_field(spelling, "chatsession") for spelling in spellings}) == 1


def test_the_fields_of_two_tables_are_two_fields():
    assert same_field("chatMessage.id", "chatsession") != same_field(
        "chatSession.id", "chatsession"
    )
    assert same_field("person.name") != same_field("contact.name")


def test_different_fields_are_different():
    names = ("contact_id", "contact", "person_id", "x_contact_id", "id", "registered")
    assert len({same_field(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("entity", "field", "own"),
    [
        ("contact", "contact_id", True),
        ("contact", "contactId", True),
        ("contact", "person_id", False),
        ("contact", "id", False),
        ("activity", "appointment_id", True),
        ("activity", "activity_id", False),
        ("chatsession", "chatsession_id", False),  # no key is documented
        ("ticket", "id", True),
        ("y_equipment", "id", True),
        ("y_equipment", "Id", False),
        ("y_equipment", "x_id", False),
        ("list.category", "Category_id", True),
        ("list.category", "UDList_id", True),
        ("list.142", "UDList_id", True),
        ("list.142", "rank", False),
        ("spaceship", "spaceship_id", False),
        ("other.category", "category_id", False),
        ("", "", False),
    ],
)
def test_a_records_own_key_is_known(entity, field, own):
    assert is_own_key(entity, field) is own


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ("contact", True),
        ("chatsession", True),
        ("quote", False),
        ("y_equipment", True),
        ("list.category", True),
        ("webhook19", False),
        ("spaceship", False),
    ],
)
def test_it_is_known_of_which_entities_the_creation_is_told(entity, told):
    assert has_created(entity) is told


@pytest.mark.parametrize(
    ("field", "value", "record"),
    [
        ("contact_id", 21, ("contact", 21)),
        ("appointment_id", 7, ("activity", 7)),
        ("updated_associate_id", 5, ("associate", 5)),
        ("ContactId", "1201", ("contact", 1201)),
        ("chatSession.contactId", 21, ("contact", 21)),
        ("associateId", 5, ("associate", 5)),
        ("person_id", "[I:5]", ("person", 5)),
        ("contact_id", 2**63 - 1, ("contact", 2**63 - 1)),
        ("contact_id", str(2**63 - 1), ("contact", 2**63 - 1)),
        ("contact_id", 2**63, None),
        ("contact_id", str(2**63), None),
        ("contact_id", "9" * 19, None),
        ("contact_id", "1" * 5000, None),
        ("contact_id", f"[I:{2**63}]", None),
        ("contact_id", f"[I:{'9' * 5000}]", None),
        ("contact_id", 10**400, None),
        ("contact_id", 0, None),
        ("contact_id", "0", None),
        ("contact_id", "[I:0]", None),
        ("contact_id", -1, None),
        ("contact_id", "-1", None),
        ("contact_id", "[I:-1]", None),
        ("contact_id", True, None),
        ("contact_id", None, None),
        ("contact_id", 21.0, None),
        ("contact_id", "", None),
        ("contact_id", " 21", None),
        ("contact_id", "21a", None),
        ("contact_id", "\N{ARABIC-INDIC DIGIT TWO}", None),
        ("contact_id", "\N{SUPERSCRIPT TWO}", None),
        ("contact_id", "0001-01-01T00:00:00", None),
        ("contact_id", [21], None),
        ("contact_id", {"id": 21}, None),
        ("contact_id", "[A:21]", None),
        ("name", 21, None),
        ("country_id", 21, None),
        ("", 21, None),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, tuple) else None,
)
def test_an_id_field_links_to_its_record(field, value, record):
    assert linked_record(field, value) == record


def test_a_name_that_is_longer_than_any_field_is_neither_read_nor_remembered():
    _remembered.cache_clear()
    assert linked_record("person_id" + "_" * 1_000_000, 7) is None
    assert linked_record(f"{'x' * 1_000_000}.person_id", 7) == ("person", 7)
    assert _remembered.cache_info().currsize == 1


ENDS = {
    "source_table": 5,
    "source_record": 1201,
    "destination_table": 6,
    "destination_record": 88,
}


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, {"source_record": ("contact", 1201), "destination_record": ("person", 88)}),
        ({"source_table": "[I:5]"}, None),
        ({"source_record": "1201"}, None),
        ({"source_table": 999_999}, {"destination_record": ("person", 88)}),
        ({"source_table": None}, {"destination_record": ("person", 88)}),
        ({"source_table": "contact"}, {"destination_record": ("person", 88)}),
        ({"source_record": 0}, {"destination_record": ("person", 88)}),
        ({"destination_record": -1}, {"source_record": ("contact", 1201)}),
        ({"destination_table": [], "source_record": {}}, {}),
    ],
    ids=str,
)
def test_the_ends_of_a_relation_link_to_records(changes, ends):
    whole = {"source_record": ("contact", 1201), "destination_record": ("person", 88)}
    assert linked_ends(ENDS | changes) == (whole if ends is None else ends)


def test_what_is_no_relation_has_no_ends():
    assert linked_ends({}) == {}
    assert linked_ends({"contact_id": 1}) == {}


def test_each_field_that_links_is_named_with_its_record():
    values = {"contact_id": 1201, "ContactId": "7", "name": "x", "person_id": 0, "associate_id": 12}
    assert links(ENDS | values) == {
        "source_record": ("contact", 1201),
        "destination_record": ("person", 88),
        "contact_id": ("contact", 1201),
        "ContactId": ("contact", 7),
        "associate_id": ("associate", 12),
    }
    assert links({"name": "x"}) == {}


def test_related_records_are_named_once_and_never_the_record_itself():
    field_values = {"contact_id": 1201, "person_id": "[I:88]", "sale_id": 7, "associate_id": 12}
    values = {"ContactId": "1201", "contact_id": 1202, "sale_id": 7}
    assert related_records("sale", 7, field_values, values) == [
        ("contact", 1201),
        ("person", 88),
        ("associate", 12),
        ("contact", 1202),
    ]
    assert ("sale", 7) in related_records("sale", 8, field_values)
    assert related_records("sale", 7) == []


@pytest.mark.parametrize("field", ["registered_associate_id", "updatedAssociateId"])
def test_who_registered_and_updated_is_not_related(field):
    assert related_records("contact", 1, {field: 12}) == []
    assert related_records("contact", 1, {field: 12, "associate_id": 12}) == [("associate", 12)]


def test_related_records_are_bounded_and_the_ends_of_a_relation_come_first():
    many = {f"a{number}.contact_id": number for number in range(1, 10_000)}
    found = related_records("relation", 1, many | ENDS, many)
    assert len(found) == MAX_RELATED == 50
    assert found[:4] == [("contact", 1201), ("person", 88), ("contact", 1), ("contact", 2)]


@pytest.mark.parametrize(
    ("field", "text", "key"),
    [
        *(("contact_id", "21", 21), ("contactId", "21", 21), ("chatSession.ContactId", "21", 21)),
        *(("sale_id", "[I:21]", 21), ("person_id", str(2**63 - 1), 2**63 - 1)),
        *(("contact_id", "0", None), ("contact_id", "-1", None), ("contact_id", "x", None)),
        *(("contact_id", " 21", None), ("contact_id", "", None), ("contact_id", "9" * 5000, None)),
        *(("updated_associate_id", "21", None), ("registered_associate_id", "21", None)),
        *(("source_record", "21", None), ("name", "21", None), ("x_contact", "21", None)),
    ],
)
def test_the_key_that_an_index_finds(field, text, key):
    assert linked_key(field, text) == key
