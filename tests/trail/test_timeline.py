"""The story of one record: page by page the same as in one piece."""

import random

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event
from superoffice_hooks.trail import timeline as module
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.history import Entry, Gap, GapKind, Past, Provenance, replay
from superoffice_hooks.trail.outages import Outage
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.timeline import MAX_MILESTONES, entry_of, timeline
from tests.builders import body, post
from tests.trail.histories import MONDAY, RECORD, store, told, wire_time

FIELDS = ("name", "orgNr", "category_idx", "business_idx")

pytestmark = pytest.mark.django_db


def pages(record=RECORD):
    """Every page of the record's timeline, newest first."""
    found = [timeline(record, User(), Technical())]
    while found[-1].older is not None:
        before = Place.read(str(found[-1].older))
        found.append(timeline(record, User(), Technical(), before))
    return found


def whole(record=RECORD):
    """The entries of one replay of everything, newest first."""
    events = list(record.events(User()).with_rows().order_by("occurred_at", "id"))
    began = Event.objects.filter(context_identifier=record.context_identifier)
    past = Past(trail_began=began.order_by("occurred_at")[0].occurred_at)
    return replay(events, Technical(), past)[::-1]


def value(known):
    return known and (known.value, known.event.pk)


def change_of(change):
    return (
        change.name,
        value(change.before),
        value(change.after),
        change.provenance,
        change.by and change.by.pk,
    )


def gap_of(gap):
    moved = [change_of(change) for change in gap.moved]
    return gap.kind, gap.since and gap.since.pk, gap.until.pk, moved


def story(entry):
    """All that an entry says, to be compared."""
    changes = [change_of(change) for change in entry.changes]
    return entry.event.pk, entry.is_undelete, changes, [gap_of(gap) for gap in entry.gaps]


def paged_story(length):
    found = pages()
    assert [len(page.entries) for page in found[:-1]] == [50] * (len(found) - 1)
    entries = [entry for page in found for entry in page.entries]
    assert len(entries) == len({entry.event.pk for entry in entries}) == length
    return [story(entry) for entry in entries]


def lives(length, seed=7, share_lost=0.1):
    """A history that tells most values of most events, and from which some events are lost."""
    chance = random.Random(seed)
    state, kept = dict.fromkeys(FIELDS, 0), []
    hour = 0.0
    while len(kept) < length:
        # Now and then many events are of one and the same moment.
        hour += chance.choice([0, 0, 0.5, 1])
        new = {field: chance.randrange(4) for field in chance.sample(FIELDS, chance.randrange(3))}
        changes = [field for field in new if state[field] != new[field]]
        state = state | new
        values = {field: state[field] for field in FIELDS if chance.random() < 0.7}
        if chance.random() > share_lost:
            kept.append(told(hour, changes=[*changes, "updated"], values=values))
    return kept


class TestTheWholeStory:
    @pytest.mark.parametrize("length", [1, 50, 51, 250, 251, 252, 330])
    def test_is_the_same_page_by_page_as_in_one_piece(self, length):
        history = lives(length)
        if length > 100:
            # The same moment for more than two pages.
            for row in history[60:190]:
                row["hours"] = history[60]["hours"]
        store(*history)
        assert paged_story(length) == [story(entry) for entry in whole()]

    def test_is_in_the_order_of_what_happened_and_not_of_what_arrived(self):
        history = lives(300)
        random.Random(1).shuffle(history)
        store(*history)
        found = paged_story(300)
        assert found == [story(entry) for entry in whole()]
        times = dict(Event.objects.values_list("pk", "occurred_at"))
        order = [(times[pk], pk) for pk, *_ in found]
        assert order == sorted(order, reverse=True)
        assert sum(len(gaps) for *_, gaps in found) > 20

    def test_of_deliveries_that_arrive_late_is_put_right(self):
        for hours, name, action in [(3, "C", "changed"), (1, "A", "created"), (2, "B", "changed")]:
            wire = {"Timestamp": wire_time(hours), "Event": f"contact.{action}"}
            post(body(**wire, Changes=["name"], FieldValues={"name": name}))
        [page] = pages()
        assert [
            [
                (change.before and change.before.value, change.after.value)
                for change in entry.changes
            ]
            for entry in page.entries
        ] == [[("B", "C")], [("A", "B")], [(None, "A")]]
        assert [entry.gaps for entry in page.entries] == [(), (), ()]

    @pytest.mark.parametrize(
        "other",
        [
            {"ContextIdentifier": "Cust2468"},
            {"ContextIdentifier": "cust24680"},
            {"ContextIdentifier": ""},
            {"Event": "person.changed", "Entity": "person"},
            {"Event": "Contact.changed", "Entity": "Contact"},
            {"PrimaryKey": 47110},
            {"PrimaryKey": -4711},
        ],
        ids=str,
    )
    def test_has_no_event_of_another_record(self, other):
        post(body(Timestamp=wire_time(1), FieldValues={"name": "Ours"}))
        post(body(Timestamp=wire_time(2), FieldValues={"name": "Theirs"}, **other))
        post(body(Timestamp=wire_time(3), Changes=["name"], FieldValues={"name": "Ours now"}))
        [page] = pages()
        assert [entry.event.field_values for entry in page.entries] == [
            {"name": "Ours now"},
            {"name": "Ours"},
        ]
        [change] = page.entries[0].changes
        assert change.before.value == "Ours"
        assert page.entries[0].gaps == ()

    def test_is_nothing_for_a_record_without_events_or_out_of_scope(self, settings):
        assert timeline(RECORD, User(), Technical()) is None
        post(body())
        assert timeline(RECORD, User(), Technical(), Place(MONDAY, 0)) is None
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["Cust1"]}
        assert timeline(RECORD, User(), Technical()) is None


class TestWhatLiesFurtherBack:
    """What no page reads as a whole still tells of the page's events."""

    def test_a_value_that_was_told_there_is_out_of_reach_and_never_first_sight(self):
        old = told(0, changes=["name"], values={"name": "Old"})
        new = told(900, changes=["name"], values={"name": "New"})
        edits = [told(hour, "edited") for hour in range(1, 400)]
        store(old, *edits, new)
        newest, *_, oldest = pages()
        [change] = newest.entries[0].changes
        assert (change.before, change.provenance) == (None, Provenance.OUT_OF_REACH)
        [change] = oldest.entries[-1].changes
        assert change.provenance == Provenance.FIRST_SIGHT

    @pytest.mark.parametrize(
        "early",
        [
            [told(0, "deleted")],
            [told(0, "softdeleted"), told(1, "deleted")],
            [told(0, "softdeleted")],
            [told(0, "softdeleted"), told(1, changes=["deleted"], values={"deleted": 0})],
            [
                told(0, "softdeleted"),
                told(1, "edited"),
                told(2, changes=["deleted"], values={"deleted": 0}),
            ],
            [
                told(0, "softdeleted"),
                told(1, changes=["deleted"], values={"deleted": 0}),
                told(2, "softdeleted", values={"deleted": 1}),
            ],
            [told(0, "softdeleted"), told(0, changes=["deleted"], values={"deleted": 0})],
            [told(0, "deleted"), told(1, "created")],
            [told(0, "softdeleted"), told(1, "created")],
        ],
        ids=lambda early: " ".join(row["action"] for row in early),
    )
    def test_a_deletion_and_its_undoing(self, early):
        store(*early, *(told(hour, values={"name": "A"}) for hour in range(10, 340)))
        assert paged_story(330 + len(early)) == [story(entry) for entry in whole()]

    def test_a_record_that_was_in_the_bin_and_long_since_lives_has_no_gap(self):
        store(
            told(0, "softdeleted", values={"deleted": 1}),
            told(1, changes=["deleted"], values={"deleted": 0}),
            *(told(hour, values={"name": "A"}) for hour in range(2, 400)),
        )
        assert [entry.gaps for page in pages() for entry in page.entries] == [()] * 400

    @pytest.mark.parametrize("after", [0, 49, 50, 249, 250, 340])
    def test_a_created_event_after_the_first_is_known_to_every_page(self, after):
        store(told(0), *(told(hour) for hour in range(1, after + 1)), told(999, "created"))
        *_, first = [entry for page in pages() for entry in page.entries]
        assert [gap.kind for gap in first.gaps] == [GapKind.UNBORN]
        assert all(page.has_created for page in pages())

    def test_a_record_that_was_registered_in_the_trails_own_time(self):
        store(told(0, primary_key=1))
        post(body(Timestamp=wire_time(200), FieldValues={"registered": "2026-03-09T12:00:00"}))
        [page] = pages()
        assert [gap.kind for gap in page.entries[0].gaps] == [GapKind.UNBORN]
        assert page.trail_began == MONDAY
        assert not page.has_created

    @pytest.mark.parametrize(
        "registered",
        [
            *("9999-12-31T23:59:59", "0001-01-01T00:00:00.1", "0001-01-01T00:00:00+14:00"),
            *("9999-12-31T23:59:59-14:00", "2026-W10-2", "20260302", "\0", "[DT:x]", ""),
        ],
    )
    def test_no_registered_moment_is_an_error(self, registered):
        post(body(Changes=["registered"], FieldValues={"registered": registered}))
        post(body(Timestamp=wire_time(9), FieldValues={"registered": "2020-01-01T00:00:00+01:00"}))
        assert len(pages()[0].entries) == 2

    def test_the_last_milestones_are_known_of_a_record_that_has_more_than_are_read(self):
        bins = [told(hour, "softdeleted") for hour in range(MAX_MILESTONES + 20)]
        store(*bins, told(500, "deleted"), *(told(hour, "edited") for hour in range(501, 830)))
        newest, *_ = pages()
        assert len(newest.milestones) == MAX_MILESTONES
        assert newest.milestones[-1].action == "deleted"
        assert {gap.kind for entry in newest.entries for gap in entry.gaps} == {
            GapKind.AFTER_DELETE
        }
        assert newest.has_created  # nothing is claimed of what was not read


class TestOneEntry:
    def test_is_the_one_of_the_timeline(self):
        store(
            told(-1, "softdeleted", values={"deleted": 1}),
            told(-1, changes=["deleted"], values={"deleted": 0}),
            *lives(300),
            told(900, "created"),
            told(901, "deleted"),
            told(902),
        )
        whole_story = {entry.event.pk: story(entry) for entry in whole()}
        events = list(Event.objects.order_by("occurred_at", "id"))
        for event in [*events[:4], *events[240:260], *events[-4:]]:
            assert story(entry_of(event, User(), Technical())) == whole_story[event.pk]

    @pytest.mark.parametrize(
        ("predecessors", "provenance"),
        [
            (module.REACH, Provenance.FIRST_SIGHT),
            (module.REACH + 1, Provenance.OUT_OF_REACH),
        ],
    )
    def test_looks_as_far_back_as_its_reach(self, predecessors, provenance):
        *_, newest = store(
            *(told(hour, "edited") for hour in range(predecessors)),
            told(900, changes=["name"], values={"name": "New"}),
        )
        [change] = entry_of(newest, User(), Technical()).changes
        assert (change.before, change.provenance) == (None, provenance)

    @pytest.mark.parametrize("edits", [module.REACH - 1, module.REACH])
    def test_finds_the_value_before_as_far_back_as_its_reach(self, edits):
        *_, newest = store(
            told(-1, values={"name": "Old"}),
            *(told(hour, "edited") for hour in range(edits)),
            told(900, changes=["name"], values={"name": "New"}),
        )
        [change] = entry_of(newest, User(), Technical()).changes
        found = (change.before and change.before.value, change.provenance)
        is_within = edits < module.REACH
        assert found == (
            ("Old", Provenance.DERIVED) if is_within else (None, Provenance.OUT_OF_REACH)
        )


class TestTheOrderOfReading:
    def test_gaps_lie_below_their_event_and_outages_between_events(self):
        for hours, changes, values in [
            (1, ["name"], {"name": "A", "category_idx": 1}),
            (9, ["name"], {"name": "B", "category_idx": 2}),
        ]:
            post(body(Timestamp=wire_time(hours), Changes=changes, FieldValues=values))
        for hours, action in [(4, "errors"), (6, "started"), (10, "stopped")]:
            post(
                body(
                    Event=f"webhook7.{action}",
                    Entity="webhook7",
                    PrimaryKey=7,
                    Timestamp=wire_time(hours),
                    Changes=None,
                    FieldValues=None,
                )
            )
        [page] = pages()
        assert [type(item) for item in page] == [Outage, Entry, Gap, Outage, Entry]
        off, renamed, gap, was_off, first = page
        assert (off.stopped.action, off.started) == ("stopped", None)
        assert (was_off.stopped.action, was_off.started.action) == ("errors", "started")
        assert gap.until == renamed.event
        assert [change.name for change in gap.moved] == ["category_idx"]
        assert first.event.field_values["name"] == "A"

    def test_the_snapshot_is_the_newest_event_of_the_page_that_tells_values(self):
        post(body(Timestamp=wire_time(1), FieldValues={"name": "A"}))
        post(body(Timestamp=wire_time(2), FieldValues={"name": "B"}))
        post(body(Timestamp=wire_time(3), FieldValues=None))
        [page] = pages()
        assert page.snapshot.field_values == {"name": "B"}


@pytest.mark.parametrize("length", [3, 2_000])
def test_costs_the_same_queries_for_any_number_of_events(length):
    store(*(told(hour, changes=["name"], values={"name": hour}) for hour in range(length)))
    with CaptureQueriesContext(connection) as queries:
        timeline(RECORD, User(), Technical())
    # Events, changed fields, deleted values, twins; milestones; when the trail began; webhooks.
    assert len(queries) == 7


def test_reads_no_more_than_its_reach(monkeypatch):
    read = []

    def counted(events, *arguments):
        events = list(events)
        read.append(len(events))
        return replay(events, *arguments)

    monkeypatch.setattr(module, "replay", counted)
    store(*(told(hour) for hour in range(600)))
    timeline(RECORD, User(), Technical())
    assert read == [module.PAGE + module.REACH]


@pytest.mark.parametrize(
    "history",
    [
        # An undelete that names the fields of the bin, stamps beside them, and tells no value.
        [told(2, changes=["deleted", "updated"])],
        # An undelete so long after the soft delete that nobody looks for it there.
        [
            *(
                told(2 + hour / 1_000, changes=["name"], values={"name": hour})
                for hour in range(220)
            ),
            told(3, changes=["deleted"], values={"deleted": 0}),
        ],
    ],
    ids=["without values", "late"],
)
def test_an_undelete_of_long_ago_leaves_no_gap_on_the_newest_page(history):
    later = (told(10 + hour, changes=["name"], values={"name": hour}) for hour in range(330))
    store(told(0, "created"), told(1, "softdeleted"), *history, *later)
    newest = timeline(RECORD, User(), Technical())
    assert [gap_of(gap) for entry in newest.entries for gap in entry.gaps] == []
