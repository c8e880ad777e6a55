import pytest

from superoffice_hooks.wire.catalog import ENTITIES, ENTITY_OF_TABLE, linked_record
from tests.payloads import PAYLOADS


def test_every_known_action_has_a_payload_in_the_tests():
    known = {f"{name}.{action}" for name, entity in ENTITIES.items() for action in entity.actions}
    assert known <= {payload["Event"] for payload in PAYLOADS}


def test_tables_name_entities():
    assert ENTITY_OF_TABLE[5] == "contact"
    assert ENTITY_OF_TABLE[9] == "activity"


@pytest.mark.parametrize(
    ("field", "value", "record"),
    [
        ("contact_id", 21, ("contact", 21)),
        ("appointment_id", 7, ("activity", 7)),
        ("updated_associate_id", 5, ("associate", 5)),
        ("contact_id", 0, None),
        ("contact_id", -1, None),
        ("contact_id", True, None),
        ("contact_id", "21", None),
        ("name", 21, None),
    ],
)
def test_an_id_field_links_to_its_record(field, value, record):
    assert linked_record(field, value) == record
