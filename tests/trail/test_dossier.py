"""What the trail knows of a record that was deleted."""

import pytest
from django.contrib.auth.models import User

from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.dossier import MAX_STEPS, dossier
from superoffice_hooks.trail.timeline import timeline
from tests.builders import body, post
from tests.trail.histories import RECORD, store, told, wire_time

BACK = {"changes": ["deleted"], "values": {"deleted": 0, "name": "Back"}}

pytestmark = pytest.mark.django_db


def deliver(hours, action, values=None, **more):
    wire = body(
        Event=f"contact.{action}",
        Timestamp=wire_time(hours),
        **{"Changes": [], "FieldValues": values, **more},
    )
    assert post(wire).content == b"recorded\n"


def found(record=RECORD):
    technical = Technical()
    page = timeline(record, User(), technical)
    return dossier(record, User(), page.milestones, technical)


def actions(entries):
    return ["undelete" if entry.is_undelete else entry.event.action for entry in entries]


def test_a_record_that_was_never_deleted_has_none():
    deliver(1, "created", {"name": "A"})
    deliver(2, "changed", {"name": "B"})
    assert found() is None


def test_tells_every_step_who_took_it_and_what_came_after():
    deliver(1, "created", {"name": "A"})
    deliver(2, "softdeleted", {"name": "B", "deleted": 1}, ChangedByAssociateId=21)
    deliver(3, "changed", {"deleted": 0}, Changes=["deleted"], ChangedByAssociateId=22)
    deliver(4, "changed", {"name": "C"})
    deliver(5, "softdeleted", {"name": "D", "deleted": 1}, ChangedByAssociateId=23)
    deliver(
        6, "deleted", None, Values={"contact_id": 4711, "person_id": 88}, ChangedByAssociateId=24
    )
    deliver(7, "changed", {"name": "Late"}, ChangedByAssociateId=25)
    seen = found()
    assert actions(seen.steps) == ["softdeleted", "undelete", "softdeleted", "deleted"]
    assert [step.event.changed_by_associate_id for step in seen.steps] == [21, 22, 23, 24]
    assert seen.is_gone
    assert seen.deleted == seen.steps[-1].event
    values = {row.name: row.value for row in seen.deleted.deleted_values.all()}
    assert values == {"contact_id": 4711, "person_id": 88}
    assert [entry.event.changed_by_associate_id for entry in seen.after] == [25]
    assert seen.snapshot.field_values["name"] == "D"
    assert not seen.is_cut


def test_deliveries_that_arrive_late_are_put_right():
    deliver(5, "deleted")
    deliver(2, "changed", {"name": "A"})
    deliver(3, "softdeleted")
    seen = found()
    assert actions(seen.steps) == ["softdeleted", "deleted"]
    assert seen.snapshot.field_values == {"name": "A"}
    assert seen.after == ()


def test_a_record_in_the_bin():
    deliver(1, "changed", {"name": "A"})
    deliver(2, "softdeleted", {"name": "B"})
    deliver(3, "changed", {"name": "C"})
    seen = found()
    assert (seen.is_gone, seen.deleted) == (True, None)
    assert seen.snapshot.field_values == {"name": "B"}
    assert len(seen.after) == 1


def test_a_record_that_was_brought_back_lives_and_its_last_values_are_todays():
    deliver(1, "softdeleted", {"name": "A"})
    deliver(2, "changed", {"deleted": False}, Changes=["deleted"])
    deliver(3, "changed", {"name": "B"})
    seen = found()
    assert actions(seen.steps) == ["softdeleted", "undelete"]
    assert (seen.is_gone, seen.deleted, seen.after) == (False, None, ())
    assert seen.snapshot.field_values == {"name": "B"}


def test_nothing_brings_back_what_was_deleted_for_good():
    deliver(1, "softdeleted")
    deliver(2, "deleted")
    deliver(3, "changed", {"deleted": 0}, Changes=["deleted"])
    seen = found()
    assert [step.event.action for step in seen.steps] == ["softdeleted", "deleted"]
    assert seen.is_gone
    assert len(seen.after) == 1


def test_what_is_created_again_can_be_put_into_the_bin_and_brought_back():
    deliver(1, "deleted")
    deliver(2, "created")
    deliver(3, "softdeleted")
    deliver(4, "changed", {"deleted": 0}, Changes=["deleted"])
    seen = found()
    assert actions(seen.steps) == ["deleted", "softdeleted", "undelete"]
    assert not seen.is_gone


def test_a_record_that_was_deleted_without_any_values():
    deliver(1, "changed")
    deliver(2, "deleted")
    seen = found()
    assert seen.snapshot is None
    assert actions(seen.steps) == ["deleted"]


def test_the_snapshot_is_of_the_deletion_itself_if_that_tells_values():
    deliver(1, "changed", {"name": "A"})
    deliver(2, "deleted", {"name": "B"})
    deliver(2, "changed", {"name": "C"})
    assert found().snapshot.field_values == {"name": "B"}


def test_many_events_at_one_moment_do_not_hide_the_deletion():
    store(*(told(1) for _ in range(MAX_STEPS + 50)), told(1, "deleted"), told(1))
    seen = found()
    assert actions(seen.steps) == ["deleted"]
    assert len(seen.after) == 1


def test_a_deletion_long_after_another_is_not_lost():
    edits = [told(hour, values={"name": hour}) for hour in range(3, 3 + MAX_STEPS + 100)]
    store(
        told(1, "softdeleted"),
        told(2, **BACK),
        *edits,
        told(800, "softdeleted"),
        told(900, "deleted"),
        told(901),
    )
    seen = found()
    assert actions(seen.steps) == ["softdeleted", "undelete", "softdeleted", "deleted"]
    assert seen.is_gone
    assert seen.is_cut
    assert seen.snapshot.field_values == {"name": 302}
    assert len(seen.after) == 1


def test_what_came_after_is_not_read_without_end():
    store(told(1, "deleted"), *(told(hour) for hour in range(2, MAX_STEPS + 50)))
    seen = found()
    assert len(seen.after) == MAX_STEPS
    assert seen.is_cut


def test_another_records_deletion_is_not_told():
    deliver(1, "changed")
    deliver(2, "deleted", PrimaryKey=1)
    deliver(2, "deleted", ContextIdentifier="Cust1")
    assert found() is None


def test_a_record_that_was_created_again_is_not_gone():
    deliver(1, "deleted")
    deliver(2, "created", {"name": "Again"})
    seen = found()
    assert actions(seen.steps) == ["deleted"]
    assert not seen.is_gone
