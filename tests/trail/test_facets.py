"""The choices of a filter, found without reading the events."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.trail import facets
from superoffice_hooks.trail.facets import choices, field_names
from tests.builders import body, post
from tests.trail.histories import wire_time

pytestmark = pytest.mark.django_db


def store(*events):
    for name, context in events:
        answer = post(body(Event=name, Entity=..., ContextIdentifier=context))
        assert answer.content == b"recorded\n"


@pytest.mark.parametrize("field", facets.FACETS)
def test_an_empty_trail_offers_nothing(field):
    assert choices(field) == []


def test_each_value_is_offered_once_and_in_order():
    store(("sale.sold", "B"), ("contact.changed", "A"), ("sale.changed", "B"), ("sale.sold", "A"))
    assert choices("entity") == ["contact", "sale"]
    assert choices("action") == ["changed", "sold"]
    assert choices("context_identifier") == ["A", "B"]


def test_the_empty_value_is_a_value():
    store(("test2", ""), ("sale.sold", "A"))
    assert choices("context_identifier") == ["", "A"]
    assert choices("action") == ["", "sold"]


def test_values_that_differ_by_case_accent_or_space_are_different():
    contexts = ["Cust", "cust", "cust ", "cüst", "客"]
    store(*(("sale.sold", context) for context in contexts))
    assert choices("context_identifier") == contexts


def test_only_what_occurs_in_the_scope_is_offered():
    store(("sale.sold", "A"), ("contact.changed", "B"), ("y_car.created", ""), ("y_car.gone", "C"))
    assert choices("entity", ["B", ""]) == ["contact", "y_car"]
    assert choices("action", iter(["A"])) == ["sold"]
    assert choices("context_identifier", ["B", "A"]) == ["A", "B"]
    assert choices("entity", []) == []


def test_what_stands_in_a_scope_is_a_value_and_never_sql():
    store(("sale.sold", "A"))
    assert choices("entity", ["') OR 1=1 --", "%s"]) == []


def test_restricted_choices_come_from_each_tenants_newest_events(monkeypatch):
    monkeypatch.setattr(facets, "NEWEST", 3)
    for context, entities in (("A", "abcde"), ("B", "xy"), ("C", "ccccz"), ("D", "d")):
        for hours, entity in enumerate(entities):
            # They arrive the other way round.
            wire = {"Timestamp": wire_time(hours=-hours), "ContextIdentifier": context}
            post(body(Event=f"{entity}.made", Entity=..., **wire))
    assert choices("entity", ["A"]) == ["a", "b", "c"]
    assert choices("entity", ["B", "A"]) == ["a", "b", "c", "x", "y"]
    assert choices("entity", ["C", "nobody"]) == ["c"]
    assert choices("entity", {"A", "B", "C"}, limit=4) == ["a", "b", "c", "x"]
    assert choices("entity") == sorted("abcdexyz")  # who may see all is offered all


def test_no_more_choices_than_a_person_can_read(monkeypatch):
    monkeypatch.setattr(facets, "MAX_CHOICES", 3)
    store(*((f"{entity}.made", "A") for entity in "edcba"))
    assert choices("entity") == ["a", "b", "c"]
    assert choices("entity", ["A"]) == ["a", "b", "c"]
    assert choices("entity", limit=4) == ["a", "b", "c", "d"]


def test_webhooks_are_offered_by_name():
    for name in ("Audit trail", "", "Backup"):
        post(body(WebhookName=name))
    assert choices("webhook_name") == ["", "Audit trail", "Backup"]


def test_each_field_that_changed_is_offered_once_and_in_order(monkeypatch):
    assert field_names() == []
    post(body(Changes=["orgNr", "name"]))
    post(body(Changes=["name", "Name", "æ"]))
    with CaptureQueriesContext(connection) as queries:
        assert field_names() == ["Name", "name", "orgNr", "æ"]
    assert len(queries) == 1
    monkeypatch.setattr(facets, "MAX_CHOICES", 2)
    assert field_names() == ["Name", "name"]


def test_one_query_whatever_the_number_of_events():
    store(*((f"{entity}.made", "A") for entity in "abcdefgh"))
    with CaptureQueriesContext(connection) as queries:
        choices("entity", ["A"])
    assert len(queries) == 1


@pytest.mark.parametrize("field", ["name", "id; DROP TABLE x", ""])
def test_a_field_without_an_index_is_refused(field):
    with pytest.raises(ValueError, match="is not one of entity"):
        choices(field)
