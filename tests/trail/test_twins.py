"""A change that was told twice is in the trail once, and says so."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event
from superoffice_hooks.trail.activity import Period, activity
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.dossier import dossier
from superoffice_hooks.trail.outages import outages
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.related import related
from superoffice_hooks.trail.timeline import MAX_TWINS, PAGE, entry_of, timeline
from tests.builders import body, post
from tests.trail.exports import exported, lines
from tests.trail.histories import MONDAY, RECORD, wire_time

pytestmark = pytest.mark.django_db

USER = User()


def deliver(hours, action="changed", times=1, **more):
    """Post what happened, so many times, each by another webhook, and return the events."""
    wire = {"Timestamp": wire_time(hours), "Event": f"contact.{action}", "Changes": ["name"]} | more
    events = []
    for number in range(times):
        post(body(WebhookName=f"Hook {number}", **wire))
        events.append(Event.objects.latest("id"))
    return events


def page(**options):
    return timeline(RECORD, USER, Technical(), **options)


def test_the_timeline_shows_it_once_with_what_told_it_again():
    deliver(0, FieldValues={"name": "A"})
    first, *twins = deliver(1, times=3, FieldValues={"name": "B"})
    deliver(2, FieldValues={"name": "C"})
    newest, entry, oldest = page().entries
    assert (entry.event, entry.twins) == (first, tuple(twins))
    assert newest.twins == oldest.twins == ()


def test_a_twin_is_no_change_in_between_and_makes_no_gap():
    [before] = deliver(0, FieldValues={"name": "A", "orgNr": "1"})
    [first, twin] = deliver(1, times=2, FieldValues={"name": "B", "orgNr": "1"})
    [after] = deliver(2, FieldValues={"name": "C", "orgNr": "1"})
    entries = page().entries
    assert [(it.changes[0].before, it.changes[0].by) for it in entries][2] == (None, None)
    assert [it.changes[0].by for it in entries[:2]] == [first, before]
    assert [it.changes[0].before.value for it in entries[:2]] == ["B", "A"]
    assert [it.gaps for it in entries] == [()] * 3
    assert (after.twin_of, twin.twin_of) == (None, first)


def test_a_twin_that_arrives_last_changes_nothing_of_what_came_after_it():
    wire = body(Timestamp=wire_time(1), FieldValues={"name": "A"}, Changes=["name"])
    post(wire)
    deliver(2, FieldValues={"name": "B"})
    told = [(it.event.pk, it.changes, it.gaps) for it in page().entries]
    post(wire | {"EventId": "0f8fad5b-d9cb-469f-a165-70867728950e"})
    assert [(it.event.pk, it.changes, it.gaps) for it in page().entries] == told


def test_a_twin_has_the_entry_of_its_first():
    deliver(0, FieldValues={"name": "A"})
    first, twin, other = deliver(1, times=3, FieldValues={"name": "B"})
    entry = entry_of(twin, USER, Technical())
    assert entry == entry_of(first, USER, Technical())
    assert (entry.event, entry.twins) == (first, (twin, other))
    assert entry.changes[0].before.value == "A"


def test_a_page_holds_as_many_changes_as_without_twins():
    for hour in range(PAGE + 2):
        deliver(hour, times=2)
    first = page()
    assert len(first.entries) == PAGE
    assert all(len(entry.twins) == 1 for entry in first.entries)
    second = page(before=first.older)
    assert [len(entry.twins) for entry in second.entries] == [1, 1]
    assert second.older is None


def test_a_storm_of_twins_is_read_up_to_a_bound():
    [first] = deliver(0)
    Event.objects.bulk_create(
        Event(
            **{
                field.attname: getattr(first, field.attname)
                for field in Event._meta.concrete_fields
                if not field.unique and field.name != "twin_of"
            }
            | {"event_id": f"00000000-0000-0000-0001-{number:012}", "twin_of": first}
        )
        for number in range(MAX_TWINS + 10)
    )
    [entry] = page().entries
    assert len(entry.twins) == MAX_TWINS


def test_the_twins_of_a_page_cost_one_query():
    deliver(0, times=2)
    with CaptureQueriesContext(connection) as few:
        page()
    for hour in range(1, 30):
        deliver(hour, times=3)
    with CaptureQueriesContext(connection) as many:
        page()
    assert len(few) == len(many)


def test_a_delete_that_was_told_twice_is_one_step():
    deliver(0, FieldValues={"name": "A"})
    first, _ = deliver(1, "deleted", times=2, Changes=[], FieldValues=None)
    milestones = page().milestones
    assert milestones == (first,)
    found = dossier(RECORD, USER, milestones, Technical())
    assert [step.event for step in found.steps] == [first]
    assert (found.deleted, found.after) == (first, ())


def test_what_happened_around_a_record_is_shown_once():
    first, _ = deliver(1, times=2, FieldValues={"person_id": 9})
    found = related(Record(RECORD.context_identifier, "person", 9), USER)
    assert [mention.event for mention in found.mentions] == [first]


def test_an_outage_that_was_told_twice_is_one():
    for event, hours in (("errors", 1), ("started", 2)):
        for hook in ("A", "B"):
            wire = {"Event": f"webhook19.{event}", "Entity": ..., "PrimaryKey": 19}
            post(body(Timestamp=wire_time(hours), WebhookName=hook, **wire))
    [outage] = outages(RECORD.context_identifier, USER)
    assert outage.started.occurred_at > outage.stopped.occurred_at
    assert (outage.stopped.twin_of, outage.started.twin_of) == (None, None)


def test_the_overview_counts_it_once():
    deliver(1, times=3)
    deliver(2)
    found = activity(Period.of_days(MONDAY.date(), MONDAY.date()), USER)
    assert found.total == 2
    assert found.entities == (("contact", 2),)
    assert sum(found.delays.counts) + found.delays.later == 2


def test_an_export_holds_every_event_and_says_whose_twin_it_is():
    first, *twins = deliver(1, times=3)
    rows = lines(exported())
    assert sorted((row["id"], row["twin_of"]) for row in rows) == [
        (first.pk, None),
        *((twin.pk, first.pk) for twin in twins),
    ]


def test_the_events_of_another_moment_tenant_or_record_are_nobodys_twins():
    first, twin = deliver(1, times=2)
    deliver(2, times=2)
    deliver(1, times=2, PrimaryKey=1)
    deliver(1, times=2, ContextIdentifier="Other")
    assert list(Event.objects.twins_of(first)) == [twin]
    assert list(Event.objects.twins_of(twin)) == []
    assert list(Event.objects.twins_of()) == []
    assert Event.objects.twins().count() == Event.objects.once().count() == 4
