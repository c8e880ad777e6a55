"""What a pasted word finds."""

import pytest

from superoffice_hooks.models import Event
from superoffice_hooks.trail.search import matching
from tests.builders import body, post

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DIGITS = "12345678-1234-4234-8234-123456789012"
BIG = 2**60 + 1


@pytest.fixture
def found(db):
    post(body(PrimaryKey=4711, EventId=GUID))
    post(body(PrimaryKey=BIG, EventId=DIGITS))
    post(body(PrimaryKey=-5))
    return lambda term: [event.primary_key for event in matching(Event.objects.all(), term)]


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("4711", [4711]),
        ("  4711\n", [4711]),
        (str(BIG), [BIG]),
        ("-5", [-5]),
        ("471", []),
        (GUID, [4711]),
        (GUID.upper(), [4711]),
        (f"\t{GUID} ", [4711]),
        ("{" + GUID + "}", [4711]),
        (GUID.replace("-", ""), [4711]),
        (DIGITS, [BIG]),
        (DIGITS.replace("-", ""), [BIG]),
    ],
)
def test_a_number_finds_a_record_and_a_guid_finds_an_event(found, term, keys):
    assert found(term) == keys


@pytest.mark.parametrize(
    "term",
    ["", " ", "contact", "4711 x", "47.11", "0x1267", str(2**63), "9" * 5000, "-" * 400, "\0", "%"],
    ids=lambda term: ascii(term[:10]),
)
def test_anything_else_finds_nothing(found, term):
    assert found(term) == []


def test_a_search_keeps_to_the_events_it_is_given(found):
    post(body(PrimaryKey=4711, ContextIdentifier="Other"))
    assert len(found("4711")) == 2
    assert len(matching(Event.objects.in_contexts(["Other"]), "4711")) == 1
