"""Which changes tell a reader something."""

import pytest

from superoffice_hooks.models import Event
from superoffice_hooks.trail.changes import Technical
from tests.builders import body, post

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("entity", "changes", "telling"),
    [
        ("contact", ["contact_id", "name", "updated", "orgNr", "soundEx"], ["name", "orgNr"]),
        ("person", ["contact_id", "person_id", "dbi_key"], ["contact_id"]),
        ("y_car", ["id", "x_colour", "last_changed", "registered"], ["x_colour"]),
        ("list.category", ["Category_id", "name", "rank"], ["name", "rank"]),
        ("spaceship", ["fuel", "Updated", "updated.by"], ["fuel", "updated.by"]),
        ("contact", ["updated", "updatedCount", "updated_associate_id"], []),
        ("contact", ["registered_associate_id", "dbi_agent_id", "dbi_last_modified"], []),
        ("contact", [], []),
    ],
)
def test_bookkeeping_is_left_out_and_the_order_kept(entity, changes, telling):
    post(body(Event=f"{entity}.changed", Entity=entity, Changes=changes))
    found = Technical().telling(Event.objects.get())
    assert found == (changes if telling is None else telling)


def folded(settings, **fields):
    """A judge under this setting; ``every`` stands for ``*``."""
    given = {("*" if entity == "every" else entity): names for entity, names in fields.items()}
    settings.SUPEROFFICE_HOOKS = {"TECHNICAL_FIELDS": given}
    return Technical()


def test_what_a_site_gives_for_an_entity_comes_on_top_of_the_default_for_all(settings):
    technical = folded(settings, contact=["orgNr"])
    assert technical("contact", "orgNr")
    assert technical("contact", "updated")
    assert not technical("sale", "orgNr")
    assert technical("sale", "updated")


def test_what_a_site_gives_for_every_entity_takes_the_place_of_the_default(settings):
    technical = folded(settings, every=["rank"])
    assert technical("contact", "rank")
    assert technical("spaceship", "rank")
    assert not technical("contact", "updated")
    assert not technical("contact", "dbi_key")


def test_the_own_key_is_technical_whatever_a_site_gives(settings):
    technical = folded(settings, every=[], contact=[])
    assert technical("contact", "contact_id")
    assert not technical("sale", "contact_id")
    assert not technical("contact", "updated")
    assert not technical("contact", "")


@pytest.mark.parametrize(
    ("name", "field", "is_technical"),
    [
        ("x_sync_*", "x_sync_stamp", True),
        ("x_sync_*", "x_sync_", True),
        ("x_sync_*", "a_x_sync_stamp", False),
        ("*_hash", "name_hash", True),
        ("*_hash", "name_hash2", False),
        ("*.*Id", "chatSession.topicId", True),
        ("*", "anything\nat all", True),
        ("a.c", "abc", False),
        ("rank", "ranking", False),
        ("rank", "Rank", True),
        ("rank", "rank\n", False),
        ("(", "(", True),
        ("a|b", "b", False),
    ],
)
def test_a_star_stands_for_any_letters_and_the_rest_for_itself(settings, name, field, is_technical):
    technical = folded(settings, contact=["other", name])
    assert technical("contact", field) is is_technical
    assert technical("contact", "other")
    assert not technical("sale", field)


def test_a_page_reads_the_setting_once(settings, django_assert_num_queries):
    technical = folded(settings, every=["rank"])
    settings.SUPEROFFICE_HOOKS = {}
    with django_assert_num_queries(0):
        assert technical("contact", "rank")
    assert not Technical()("contact", "rank")


def test_a_star_keeps_the_underscores_that_stand_beside_it(settings):
    judge = folded(settings, contact=["a_*", "x_sync_*"])
    found = {
        name: judge("contact", name) for name in ("a_b", "associate_id", "x_sync_1", "xSyncer")
    }
    assert found == {"a_b": True, "associate_id": False, "x_sync_1": True, "xSyncer": False}


def test_only_a_star_stands_for_other_letters(settings):
    judge = folded(settings, contact=["nam?", "[ab]c"])
    assert [judge("contact", name) for name in ("name", "nam?", "ac", "[ab]c")] == [
        *(False, True),
        *(False, True),
    ]
