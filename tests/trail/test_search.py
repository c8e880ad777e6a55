"""What a pasted text is read as, and what it finds."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.search import Kind, read
from tests.builders import body, post

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
DIGITS = "12345678-1234-4234-8234-123456789012"
BIG = 2**60 + 1
USER = AnonymousUser()


@pytest.fixture
def trail(db):
    post(body(PrimaryKey=4711, EventId=GUID))
    post(body(PrimaryKey=BIG, EventId=DIGITS, Event="y_car.created", Entity=..., Changes=["x_km"]))
    post(body(PrimaryKey=-5, ContextIdentifier="Cust12345", WebhookName="Nightly, copy"))
    post(body(PrimaryKey=6, Event="list.category.sold", Entity=..., Changes=None))


def found(term, user=USER):
    reading = read(term, user)
    if reading is None:
        return None
    keys = reading.select(Event.objects.order_by("id")).values_list("primary_key", flat=True)
    return (reading.kind, list(keys))


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("4711", [4711]),
        ("  4711\n", [4711]),
        ("4711,", [4711]),
        (str(BIG), [BIG]),
        ("-5", [-5]),
        ("471", []),
    ],
)
def test_a_number_finds_records(trail, term, keys):
    assert found(term) == (Kind.NUMBER, keys)


@pytest.mark.parametrize(
    ("term", "key"),
    [
        (GUID, 4711),
        (GUID.upper(), 4711),
        (f"\t{GUID} ", 4711),
        (f'"{GUID}",', 4711),
        ("{" + GUID + "}", 4711),
        (f"urn:uuid:{GUID}", 4711),
        (GUID.replace("-", ""), 4711),
        (DIGITS, BIG),
        (DIGITS.replace("-", ""), BIG),
    ],
)
def test_a_guid_finds_an_event_in_whatever_form(trail, term, key):
    assert found(term) == (Kind.GUID, [key])


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("contact:4711", [4711]),
        ("contact: 4711", [4711]),
        ("contact 4711", [4711]),
        ("contact/4711", [4711]),
        ("Contact:4711", [4711]),
        ("contact_id=4711", [4711]),
        ("contact.changed 4711", [4711]),
        ("contact.created 4711", []),
        ("contact:-5", [-5]),
        ("list.category 6", [6]),
        (f"y_car:{BIG}", [BIG]),
        ("Cust24680/contact/4711", [4711]),
        ("Cust24680 contact 4711", [4711]),
        ("Cust12345/contact/4711", []),
        ("sale:4711", []),
    ],
)
def test_an_entity_and_a_number_find_one_record(trail, term, keys):
    assert found(term) == (Kind.RECORD, keys)


@pytest.mark.parametrize(
    ("term", "kind", "keys"),
    [
        ("Cust12345", Kind.CONTEXT, [-5]),
        ("cust12345", Kind.CONTEXT, [-5]),
        ("contact.changed", Kind.NAME, [4711, -5]),
        ("Contact.Changed", Kind.NAME, [4711, -5]),
        ("y_car", Kind.ENTITY, [BIG]),
        ("list.category", Kind.ENTITY, [6]),
        ("Y_CAR", Kind.ENTITY, [BIG]),
        ("sold", Kind.ACTION, [6]),
        ("SOLD", Kind.ACTION, [6]),
        ("Nightly, copy", Kind.WEBHOOK, [-5]),
        ("nightly, copy", Kind.WEBHOOK, [-5]),
        ("orgNr", Kind.FIELD, [4711, -5]),
        ("ORGNR", Kind.FIELD, [4711, -5]),
        ("x_km", Kind.FIELD, [BIG]),
    ],
)
def test_a_word_is_read_as_what_knows_it(trail, term, kind, keys):
    assert found(term) == (kind, keys)


def test_a_word_as_it_stands_goes_before_the_same_in_other_letters(trail):
    for context in ("ABC", "abc", "Abc"):
        post(body(ContextIdentifier=context))
    assert read("abc", USER).value == "abc"
    both = read("aBC", USER)
    contexts = both.select(Event.objects).values_list("context_identifier", flat=True)
    assert sorted(contexts) == ["ABC", "Abc", "abc"]


@pytest.mark.parametrize(
    "term",
    [
        *("", " ", "Fjordbygg AS", "4711 x", "47.11", "0x1267", "contact:", "contact:x"),
        *(str(2**63), f"contact:{2**63}", "9" * 5000, "-" * 400, "\0", "%", "con", "x" * 256),
        f"{GUID}0",
        f"{GUID}, {GUID}",
    ],
    ids=lambda term: ascii(term[:20]),
)
def test_anything_else_is_not_understood(trail, term):
    assert read(term, USER) is None


@pytest.mark.parametrize("term", ["4711", "contact:4711", "contact_id: 4711"])
def test_the_one_record_of_one_tenant_is_named(trail, term):
    assert read(term, USER).record == Record("Cust24680", "contact", 4711)
    post(body(PrimaryKey=4711, ContextIdentifier="Another"))
    assert read(term, USER).record is None
    assert read("Another/contact/4711", USER).record == Record("Another", "contact", 4711)


def test_a_number_of_two_entities_names_no_record(trail):
    post(body(PrimaryKey=4711, Event="sale.changed", Entity="sale"))
    assert read("4711", USER).record is None
    assert read("sale:4711", USER).record == Record("Cust24680", "sale", 4711)


def test_a_search_keeps_to_the_scope(trail, settings):
    scope = {"CONTEXTS_FOR_USER": lambda user: ["Cust12345"]}
    settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **scope}
    assert read("contact:4711", USER).record is None
    for term in ("Cust24680", "y_car", "Y_CAR", "sold", "Audit trail", "x_km", "X_KM"):
        assert read(term, USER) is None
    assert read("orgNr", USER).kind is Kind.FIELD
    assert read("-5", USER).record == Record("Cust12345", "contact", -5)


@pytest.mark.parametrize("term", ["Fjordbygg AS", "ORGNR", "contact:4711", "4711", GUID])
def test_what_a_text_means_is_found_out_by_a_few_probes(trail, term):
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            read(term, USER)
        counts.append(len(queries))
        for _ in range(20):
            post(body())
    assert counts[0] == counts[1] <= 12
    made = " ".join(query["sql"] for query in queries).upper()
    for costly in ("DISTINCT", "COUNT(", "LIKE", " OR "):
        assert costly not in made
