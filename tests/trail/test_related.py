"""What happened around a record."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event, RelatedRecord
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.related import PAGE, related
from superoffice_hooks.trail.timeline import Place
from tests.builders import body, post
from tests.trail.histories import MONDAY, store, told, wire_time

COMPANY = Record("Cust24680", "contact", 1201)

pytestmark = pytest.mark.django_db


def deliver(entity="person", key=1, action="changed", **more):
    defaults = {"Changes": [], "FieldValues": None, "Timestamp": wire_time(1)}
    wire = body(Event=f"{entity}.{action}", Entity=entity, PrimaryKey=key, **(defaults | more))
    assert post(wire).content == b"recorded\n"


def around(record=COMPANY, entity=None):
    page = related(record, User(), entity)
    return [(one.event.entity, one.event.primary_key, list(one.fields)) for one in page.mentions]


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"FieldValues": {"contact_id": 1201}}, ["contact_id"]),
        ({"FieldValues": {"ContactId": "1201"}}, ["ContactId"]),
        ({"FieldValues": {"contact_id": "[I:1201]"}}, ["contact_id"]),
        ({"Values": {"contact_id": 1201}}, ["contact_id"]),
        (
            {"Values": {"contact_id": 1201}, "FieldValues": {"contact_id": 5, "ContactId": 1201}},
            ["ContactId", "contact_id"],
        ),
        ({"Values": {"contact_id": 1201}, "FieldValues": {"contact_id": 5}}, ["contact_id"]),
        ({"FieldValues": {"source_table": 5, "source_record": 1201}}, ["source_record"]),
        (
            {"Values": {"destination_table": 5, "destination_record": 1201}},
            ["destination_record"],
        ),
    ],
    ids=str,
)
def test_an_event_that_names_the_record_is_there_with_the_fields_that_do(more, fields):
    deliver("chatsession", 9, **more)
    assert around() == [("chatsession", 9, fields)]


@pytest.mark.parametrize(
    "more",
    [
        {"FieldValues": {"contact_id": 12010}},
        {"FieldValues": {"person_id": 1201}},
        {"FieldValues": {"number1": 1201}},
        {"FieldValues": {"source_table": 6, "source_record": 1201}},
        {"FieldValues": {"source_record": 1201}},
        {"FieldValues": {"contact_id": 1201}, "ContextIdentifier": "Cust1"},
        {"FieldValues": {"contact_id": 1201}, "ContextIdentifier": "cust24680"},
        {"FieldValues": {"contact_id": 1201}, "entity": "contact", "key": 1201},
        {"FieldValues": {"name": "contact_id 1201"}, "Changes": ["contact_id"]},
    ],
    ids=str,
)
def test_no_other_event_is(more):
    deliver(**more)
    assert around() == []


def test_of_an_associate_are_not_all_the_events_that_he_saved():
    somebody = COMPANY.sibling("associate", 7)
    stamps = {"registered_associate_id": 7, "updated_associate_id": 7}
    deliver("sale", 1, FieldValues=stamps)
    deliver("sale", 2, FieldValues=stamps | {"associate_id": 7})
    assert [key for _, key, _ in around(somebody)] == [2]
    assert "associate_id" in around(somebody)[0][2]


@pytest.mark.parametrize(
    ("told", "tied"),
    [
        ({"destination_table": 6, "destination_record": 88}, COMPANY.sibling("person", 88)),
        ({"destination_table": 5, "destination_record": 12}, COMPANY.sibling("contact", 12)),
        ({"destination_table": 5, "destination_record": 1201}, None),
        ({"destination_table": 9_999, "destination_record": 88}, None),
        ({"destination_record": 88}, None),
        ({}, None),
    ],
    ids=str,
)
def test_a_relation_ties_the_record_to_the_other_end(told, tied):
    ends = {"source_table": 5, "source_record": 1201}
    deliver("relation", 9, FieldValues=ends | told)
    [mention] = related(COMPANY, User()).mentions
    assert mention.tied == tied


def test_are_merged_by_time_and_not_by_arrival():
    for hours, entity in [(2, "sale"), (3, "person"), (1, "document")]:
        deliver(entity, Timestamp=wire_time(hours), FieldValues={"contact_id": 1201})
    assert [entity for entity, *_ in around()] == ["person", "sale", "document"]


def test_are_filtered_by_entity_which_offers_all_the_same():
    for key, entity in enumerate(["sale", "person", "sale"]):
        deliver(entity, key, FieldValues={"contact_id": 1201})
    assert [key for _, key, _ in around(entity="sale")] == [2, 0]
    assert around(entity="Sale") == around(entity="") == []
    assert related(COMPANY, User(), "sale").entities == ("person", "sale")


def test_are_only_of_the_tenants_that_the_user_may_see(settings):
    deliver(FieldValues={"contact_id": 1201})
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["Cust1"]}
    page = related(COMPANY, User())
    assert (page.mentions, page.entities) == ((), ())
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["Cust1", "Cust24680"]}
    assert len(around()) == 1


def stored(hours):
    """Events of persons of the company, at these hours."""
    events = store(
        *(
            told(hour, entity="person", primary_key=key, values={"contact_id": 1201})
            for key, hour in enumerate(hours)
        )
    )
    RelatedRecord.objects.bulk_create(
        [
            RelatedRecord(
                event=event,
                entity="contact",
                primary_key=1201,
                context_identifier=event.context_identifier,
                occurred_at=event.occurred_at,
            )
            for event in events
        ]
    )
    return events


@pytest.mark.parametrize(
    "hours",
    [
        [1] * (2 * PAGE + 20),
        [*range(30), *[30] * PAGE, *range(31, 60)],
        list(range(PAGE)),
        list(range(PAGE + 1, 0, -1)),
    ],
    ids=["one moment", "some at one moment", "one page", "latest first"],
)
def test_are_paged_each_once(hours):
    stored(hours)
    found, before = [], None
    while True:
        page = related(COMPANY, User(), before=before)
        found += [mention.event.pk for mention in page.mentions]
        if page.older is None:
            break
        assert len(page.mentions) == PAGE
        before = Place.read(str(page.older))
    expected = Event.objects.order_by("-occurred_at", "-id").values_list("pk", flat=True)
    assert found == list(expected)


def test_cost_the_same_queries_for_any_number():
    counts = []
    for hours in ([1, 2, 3], range(300)):
        stored(hours)
        with CaptureQueriesContext(connection) as queries:
            related(COMPANY, User(), "person", Place(MONDAY, 0))
            around()
        counts.append(len(queries))
    # Twice: entities, mentions, and for those that there are, changed fields and deleted values.
    assert counts == [2 + 4, 2 + 4]
