"""Which changes tell a reader something."""

import pytest

from superoffice_hooks.models import Event
from superoffice_hooks.trail.changes import telling_changes
from tests.builders import body, post


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("entity", "changes", "telling"),
    [
        ("contact", ["contact_id", "name", "updated", "orgNr", "soundEx"], ["name", "orgNr"]),
        ("person", ["contact_id", "person_id", "dbi_key"], ["contact_id"]),
        ("y_car", ["x_colour", "last_changed", "registered"], ["x_colour"]),
        ("contact", ["updated", "updatedCount", "updated_associate_id"], []),
    ],
)
def test_bookkeeping_is_left_out_and_the_order_kept(entity, changes, telling):
    post(body(Event=f"{entity}.changed", Entity=entity, Changes=changes))
    assert telling_changes(Event.objects.get()) == telling
