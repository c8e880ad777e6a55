"""Before, after and gaps: what a record's events tell together."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.trail.history import GapKind, Past, Provenance, replay
from superoffice_hooks.trail.values import same_value

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def event(pk, action="changed", changes=(), told=None, entity="contact", flags=()):
    """An event as ``replay`` reads it; each is an hour after the one before."""
    return SimpleNamespace(
        pk=pk,
        entity=entity,
        action=action,
        occurred_at=MONDAY + timedelta(hours=pk),
        field_values=told or {},
        flags=list(flags),
        changed_fields=SimpleNamespace(
            all=lambda: [SimpleNamespace(name=name) for name in changes]
        ),
    )


def cells(entry):
    return {
        change.name: (
            change.before and change.before.value,
            change.after and change.after.value,
            change.provenance,
            change.by and change.by.pk,
        )
        for change in entry.changes
    }


def gaps(entry):
    return [(gap.kind, gap.since and gap.since.pk, gap.until.pk) for gap in entry.gaps]


def moved(entry):
    return {
        change.name: (change.before.value, change.after.value)
        for gap in entry.gaps
        for change in gap.moved
    }


class TestBeforeAndAfter:
    def test_before_is_what_the_previous_snapshot_told(self):
        _, renamed = replay(
            [
                event(1, "created", ["name"], {"name": "Old"}),
                event(2, changes=["name"], told={"name": "New"}),
            ]
        )
        assert cells(renamed) == {"name": ("Old", "New", Provenance.DERIVED, 1)}
        assert gaps(renamed) == []

    def test_what_a_created_event_tells_is_new(self):
        [born] = replay([event(1, "created", ["name"], {"name": "A"})])
        assert cells(born) == {"name": (None, "A", Provenance.NEW, None)}

    def test_a_value_that_was_never_told_is_seen_for_the_first_time(self):
        [first] = replay([event(1, changes=["name", "phone"], told={"name": "A"})])
        assert cells(first) == {
            "name": (None, "A", Provenance.FIRST_SIGHT, None),
            "phone": (None, None, Provenance.FIRST_SIGHT, None),
        }

    def test_behind_a_cut_nothing_is_called_first(self):
        [first] = replay([event(1, changes=["name"])], past=Past(cut=True))
        assert cells(first) == {"name": (None, None, Provenance.OUT_OF_REACH, None)}

    def test_a_change_without_its_value_hides_what_was_before_the_next(self):
        *_, last = replay(
            [
                event(1, told={"status": 1}),
                event(2, "sold", ["status"]),
                event(3, changes=["status"], told={"status": 4}),
            ]
        )
        assert cells(last) == {"status": (None, 4, Provenance.UNTOLD, 2)}
        assert gaps(last) == []

    def test_the_value_before_a_change_without_its_own_is_known(self):
        _, sold = replay([event(1, told={"status": 1}), event(2, "sold", ["status"])])
        assert cells(sold) == {"status": (1, None, Provenance.DERIVED, 1)}

    def test_an_event_without_values_leaves_those_before_as_they_are(self):
        *_, last = replay(
            [
                event(1, told={"name": "A"}),
                event(2, "edited"),
                event(3, changes=["name"], told={"name": "B"}),
            ]
        )
        assert cells(last) == {"name": ("A", "B", Provenance.DERIVED, 1)}

    @pytest.mark.parametrize(
        ("named", "told"),
        [("associate_id", "associateId"), ("contact.topicId", "TopicId"), ("Name", "name")],
    )
    def test_two_spellings_of_a_field_are_one_field(self, named, told):
        _, last = replay(
            [event(1, told={told: 1}), event(2, changes=[named], told={told: 2})],
        )
        assert cells(last) == {named: (1, 2, Provenance.DERIVED, 1)}
        assert gaps(last) == []

    def test_two_fields_that_look_alike_are_both_shown(self):
        _, last = replay(
            [
                event(1, told={"name": "a", "Name": "b"}),
                event(2, changes=["name", "Name"], told={"name": "c", "Name": "d"}),
            ]
        )
        assert cells(last) == {
            "name": ("a", "c", Provenance.DERIVED, 1),
            "Name": ("b", "d", Provenance.DERIVED, 1),
        }

    def test_a_field_that_was_saved_as_it_was_is_the_same(self):
        _, last = replay(
            [event(1, told={"price": "[M:5.00]"}), event(2, changes=["price"], told={"price": 5.0})]
        )
        assert last.changes[0].is_same


class TestGaps:
    def test_a_value_that_moved_though_no_event_named_it(self):
        _, last = replay(
            [event(1, told={"category": 1}), event(2, changes=["name"], told={"category": 2})]
        )
        assert gaps(last) == [(GapKind.MOVED, 1, 2)]
        assert moved(last) == {"category": (1, 2)}

    def test_begins_where_the_oldest_of_the_values_was_told(self):
        *_, last = replay(
            [
                event(1, told={"a": 1, "b": 1}),
                event(2, told={"b": 1}),
                event(3, told={"a": 2, "b": 2}),
            ]
        )
        assert gaps(last) == [(GapKind.MOVED, 1, 3)]

    def test_a_value_that_an_event_moved_without_telling_it_is_no_gap(self):
        *_, last = replay(
            [
                event(1, told={"status": 1}),
                event(2, "sold", ["status"]),
                event(3, told={"status": 2}),
            ]
        )
        assert gaps(last) == []

    def test_a_value_told_for_the_first_time_is_no_gap(self):
        _, last = replay([event(1, told={"a": 1}), event(2, told={"a": 1, "b": 2})])
        assert gaps(last) == []

    def test_what_superoffice_itself_keeps_may_move(self):
        _, last = replay(
            [event(1, told={"updated": 1}), event(2, told={"updated": 2})],
            technical=lambda entity, field: field == "updated",
        )
        assert gaps(last) == []

    def test_an_event_that_may_have_named_more_fields_than_are_kept_shows_none(self):
        _, last = replay([event(1, told={"a": 1}), event(2, told={"a": 2}, flags=["capped"])])
        assert gaps(last) == []

    def test_a_soft_delete_moves_its_own_fields(self):
        _, last = replay(
            [event(1, told={"deleted": 0}), event(2, "softdeleted", told={"deleted": 1})]
        )
        assert gaps(last) == []

    def test_a_deleted_row_tells_the_same_values_in_another_form(self):
        *_, last = replay(
            [
                event(
                    1,
                    told={"x": "[DT:02/27/2026 13:05:09.1230000]", "d": "[DT:01/01/0001 00:00:00]"},
                ),
                event(2, "deleted", told={"x": "2026-02-27T13:05:09", "d": "0001-01-01T00:00:00"}),
            ]
        )
        assert gaps(last) == []

    def test_a_change_before_the_created_event(self):
        first, born = replay([event(1), event(2, "created")])
        assert gaps(first) == [(GapKind.UNBORN, None, 1)]
        assert gaps(born) == []

    def test_a_change_before_a_created_event_of_a_newer_page(self):
        past = Past(later_created=event(9, "created"))
        assert gaps(replay([event(1)], past=past)[0]) == [(GapKind.UNBORN, None, 1)]

    @pytest.mark.parametrize(
        ("registered", "found"),
        [
            ("2026-03-02T08:00:00", 0),  # another zone's clock may show that
            ("2026-03-03T08:00:00", 1),
            ("2026-03-02T06:00:00+00:00", 1),
            ("2026-03-02T04:59:00+00:00", 0),
            ("2020-01-01T00:00:00", 0),
            ("soon", 0),
            (7, 0),
        ],
    )
    def test_a_record_that_was_registered_in_the_trails_own_time(self, registered, found):
        past = Past(trail_began=MONDAY - timedelta(hours=4))
        [first] = replay([event(1, told={"registered": registered})], past=past)
        assert len(first.gaps) == found

    def test_what_has_no_created_event_is_not_missed(self):
        past = Past(trail_began=MONDAY - timedelta(days=900))
        told = {"registered": "2026-02-01T00:00:00"}
        [first] = replay([event(1, "sent", told=told, entity="quote")], past=past)
        assert gaps(first) == []

    def test_anything_after_a_delete(self):
        *_, gone, after = replay([event(1), event(2, "deleted"), event(3)])
        assert gaps(gone) == []
        assert gaps(after) == [(GapKind.AFTER_DELETE, 2, 3)]

    def test_anything_after_a_delete_of_an_older_page(self):
        past = Past(cut=True, deleted=event(0, "deleted"))
        assert gaps(replay([event(1)], past=past)[0]) == [(GapKind.AFTER_DELETE, 0, 1)]

    def test_a_record_that_is_created_again_lives(self):
        *_, again, after = replay([event(1, "deleted"), event(2, "created"), event(3)])
        assert gaps(again) == [(GapKind.AFTER_DELETE, 1, 2)]
        assert gaps(after) == []

    def test_a_change_in_the_bin(self):
        *_, after, gone = replay([event(1, "softdeleted"), event(2), event(3, "deleted")])
        assert gaps(after) == [(GapKind.IN_THE_BIN, 1, 2)]
        assert gaps(gone) == []

    @pytest.mark.parametrize(
        "told", [{"deleted": 0}, {"deleted": False}, {"DeletedDate": "0001-01-01T00:00:00"}]
    )
    def test_an_undelete_is_no_gap(self, told):
        *_, back, after = replay(
            [event(1, "softdeleted"), event(2, changes=["deleted"], told=told), event(3)]
        )
        assert back.is_undelete
        assert gaps(back) == gaps(after) == []

    def test_an_undelete_may_keep_the_values_to_itself(self):
        *_, back = replay([event(1, "softdeleted"), event(2, changes=["deleted"])])
        assert back.is_undelete
        assert gaps(back) == []

    def test_an_undelete_moves_its_own_fields_without_naming_them(self):
        *_, back = replay(
            [event(1, "softdeleted", told={"deleted": 1}), event(2, told={"deleted": 0})]
        )
        assert back.is_undelete
        assert gaps(back) == []

    def test_what_was_deleted_for_good_is_not_brought_back(self):
        *_, after = replay(
            [event(1, "softdeleted"), event(2, "deleted"), event(3, told={"deleted": 0})]
        )
        assert not after.is_undelete
        assert gaps(after) == [(GapKind.AFTER_DELETE, 2, 3)]

    def test_a_change_of_a_list_item_in_the_bin_is_no_undelete(self):
        _, renamed = replay(
            [
                event(1, "softdeleted", entity="list.category"),
                event(2, changes=["name", "deleted"], entity="list.category"),
            ]
        )
        assert not renamed.is_undelete

    def test_a_delete_that_comes_twice_is_no_gap(self):
        again = event(3, "deleted")
        again.occurred_at = MONDAY + timedelta(hours=2)
        *_, last = replay([event(1), event(2, "deleted"), again])
        assert gaps(last) == []

    def test_what_happened_at_one_moment_can_arrive_in_any_order(self):
        born = event(2, "created")
        born.occurred_at = MONDAY + timedelta(hours=1)
        assert [gaps(entry) for entry in replay([event(1), born])] == [[], []]
        changed = event(4)
        changed.occurred_at = MONDAY + timedelta(hours=3)
        assert [gaps(entry) for entry in replay([event(3, "deleted"), changed])] == [[], []]

    def test_a_moment_told_with_and_without_its_offset_did_not_move(self):
        _, last = replay(
            [
                event(1, told={"do_by": "2026-11-01T10:00:00.1234567+01:00"}),
                event(2, told={"do_by": "2026-11-01T09:00:00"}),
            ]
        )
        assert gaps(last) == []

    def test_no_value_is_no_other_than_an_empty_one(self):
        _, last = replay([event(1, told={"a": None}), event(2, told={"a": ""})])
        assert gaps(last) == []

    def test_a_value_told_under_another_spelling_moved_as_well(self):
        _, last = replay([event(1, told={"associate_id": 1}), event(2, told={"associateId": 2})])
        assert moved(last) == {"associateId": (1, 2)}

    def test_a_ticket_tells_its_creation_in_a_field_of_its_own(self):
        past = Past(trail_began=MONDAY - timedelta(days=9))
        told = {"created_at": "2026-03-01T00:00:00"}
        [first] = replay([event(1, told=told, entity="ticket")], past=past)
        assert gaps(first) == [(GapKind.UNBORN, None, 1)]

    def test_a_soft_delete_and_a_change_of_one_moment_are_no_undelete(self):
        twin = event(2, changes=["deleted"])
        twin.occurred_at = MONDAY + timedelta(hours=1)
        back = event(3, changes=["deleted"], told={"deleted": 0})
        _, same, later = replay([event(1, "softdeleted"), twin, back])
        assert (same.is_undelete, later.is_undelete) == (False, True)

    @pytest.mark.parametrize(("told", "is_back"), [("0", True), ("1", False), (1, False)])
    def test_an_undelete_can_be_told_in_digits(self, told, is_back):
        _, back = replay([event(1, "softdeleted"), event(2, told={"deleted": told})])
        assert back.is_undelete is is_back

    @pytest.mark.parametrize(
        "told", [{"registered": "[DT:03/02/2026 08:00:00]"}, {"Registered": "2026-03-02T08:00:00"}]
    )
    def test_the_registration_can_be_encoded_or_spelled_otherwise(self, told):
        past = Past(trail_began=MONDAY - timedelta(days=9))
        [first] = replay([event(1, told=told)], past=past)
        assert gaps(first) == [(GapKind.UNBORN, None, 1)]


class TestOneSave:
    """One save can raise two events of one moment, and only one tells values."""

    def test_keeps_the_value_that_the_other_event_told(self):
        sold = event(2, "sold", ["status"])
        sold.occurred_at = MONDAY + timedelta(hours=1)
        *_, last = replay(
            [
                event(1, changes=["status"], told={"status": 2}),
                sold,
                event(3, changes=["status"], told={"status": 4}),
            ]
        )
        assert cells(last) == {"status": (2, 4, Provenance.DERIVED, 1)}

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_was_before_the_moment_for_both(self, order):
        twins = [
            event(2, changes=["name"], told={"name": "New"}),
            event(3, "sold", changes=["name"]),
        ]
        for twin in twins:
            twin.occurred_at = MONDAY + timedelta(hours=2)
        first = event(1, told={"name": "Old"})
        entries = replay([first, *(twins[place] for place in order)])[1:]
        told = [entry.changes[0].before.value for entry in entries]
        assert told == ["Old", "Old"]
        assert [gaps(entry) for entry in entries] == [[], []]


def test_after_an_event_that_may_have_named_any_field_nothing_before_is_known():
    *_, last = replay(
        [
            event(1, told={"name": "a"}),
            event(2, changes=["other"], flags=["capped"]),
            event(3, changes=["name"], told={"name": "c"}),
        ]
    )
    assert cells(last) == {"name": (None, "c", Provenance.CAPPED, 2)}
    assert gaps(last) == []


# Any history of a record: each step sets some fields and tells the values of some.
FIELDS = ("name", "orgNr", "category_idx")
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(FIELDS), st.integers(0, 3), max_size=3),
        st.sampled_from(["all", "some", "none"]),
    ),
    min_size=1,
    max_size=12,
)


def live(steps):
    """Live through the steps: the events, and the record's values after each."""
    state, events, states = dict.fromkeys(FIELDS, 0), [], []
    for pk, (new, telling) in enumerate(steps):
        changes = [name for name, value in new.items() if state[name] != value]
        state = state | new
        told = {"all": state, "some": {"name": state["name"]}, "none": {}}[telling]
        events.append(event(pk, changes=changes, told=dict(told)))
        states.append(state)
    return events, states


@given(STEPS)
def test_what_is_derived_is_what_really_was(steps):
    events, states = live(steps)
    for position, entry in enumerate(replay(events)):
        assert entry.gaps == ()
        for change in entry.changes:
            if change.before is not None:
                assert position > 0
                assert change.before.value == states[position - 1][change.name]
            if change.after is not None:
                assert change.after.value == states[position][change.name]


@given(STEPS)
def test_what_is_derived_is_all_that_the_events_tell(steps):
    """A value before is known just when the last event that touched the field told it."""
    events, _ = live(steps)
    for position, entry in enumerate(replay(events)):
        for change in entry.changes:
            touching = [
                earlier
                for earlier in events[:position]
                if change.name in earlier.field_values
                or change.name in [row.name for row in earlier.changed_fields.all()]
            ]
            last = touching[-1] if touching else None
            told = last is not None and change.name in last.field_values
            assert (change.before is not None) is told
            assert change.by is last
            assert change.provenance == (
                Provenance.DERIVED
                if told
                else Provenance.UNTOLD
                if touching
                else Provenance.FIRST_SIGHT
            )


@given(STEPS, st.data())
def test_a_lost_event_that_moved_a_told_value_is_marked(steps, data):
    """Marked where the next snapshot tells another value, and nothing between names the field."""
    events, _ = live(steps)
    lost = data.draw(st.integers(0, len(events) - 1))
    kept = [one for one in events if one.pk != lost]
    marked = {}
    for entry in replay(kept):
        marked |= {(entry.event.pk, name): values for name, values in moved(entry).items()}
    expected = {}
    for name in (row.name for row in events[lost].changed_fields.all()):
        telling = [one for one in kept if one.pk < lost and name in one.field_values]
        for one in kept:
            if one.pk < lost:
                if telling and one.pk > telling[-1].pk and names(one, name):
                    break  # not known any more when the event was lost
                continue
            if names(one, name):
                break
            if name in one.field_values:
                if telling and telling[-1].field_values[name] != one.field_values[name]:
                    before, after = telling[-1].field_values[name], one.field_values[name]
                    expected[one.pk, name] = (before, after)
                break
    assert marked == expected


def names(one, name):
    return name in [row.name for row in one.changed_fields.all()]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("[I:6]", 6, True),
        ("[M:0.10]", 0.1, True),
        ("[D:27.02.2026]", "2026-02-27T00:00:00", True),
        ("2026-02-27T13:05:09.5", "2026-02-27T13:05:09", True),
        ("2026-02-27T13:05:09.5", "2026-02-27T13:05:09.6", False),
        ("2026-02-27T13:05:09+01:00", "2026-02-27T12:05:09+00:00", True),
        ("2026-02-27T13:05:09+01:00", "2026-02-27T13:05:09", True),
        ("2026-02-27T13:05:09+01:00", "2026-02-27T18:35:09.5", True),
        ("2026-02-27T13:05:09+01:00", "2026-02-27T13:06:09", False),
        ("2026-02-27T13:05:09+01:00", "2026-03-27T13:05:09", False),
        (None, "", True),
        ("2026-02-30T13:05:09", "2026-02-30T13:05:09", True),
        ("2026-02-30T13:05:09", "2026-02-28T13:05:09", False),
        (None, "0001-01-01T00:00:00", True),
        ("6", 6, False),
        ("a", "A", False),
        ([1, 2], "[A:1,2]", True),
    ],
)
def test_values_are_compared_by_what_they_mean(one, other, same):
    assert same_value(one, other) is same
    assert same_value(other, one) is same
