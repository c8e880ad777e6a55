import pytest
from django.conf import settings
from django.contrib.auth import get_user_model

from tests.browser.conftest import browser_type_launch_args, scheme, width  # noqa: F401
from tests.builders import body, encode, post
from tests.payloads import PAYLOADS
from tests.unfold.pages import TENANT


@pytest.fixture
def trail():
    """What every page needs: a record with a past, a deletion, a retry, a broken body."""
    if "unfold" not in settings.INSTALLED_APPS:
        pytest.fail("Run these with DJANGO_SETTINGS_MODULE=tests.unfold.settings.")
    for wire in PAYLOADS:
        post(wire)
    post(encode(PAYLOADS[0]))
    post(b'{"Event": "contact.changed"')
    ours = {"ContextIdentifier": TENANT}
    for day, name in enumerate(("Fjordbygg AS", "Fjordbygg og Sønner AS"), 2):
        values = {"name": name, "orgNr": "912345678", "contact_id": 4711, "updatedCount": day}
        changes = ["name", "updated", "updatedCount"]
        moment = f"2026-03-0{day}T09:15:27Z"
        post(body(Timestamp=moment, Changes=changes, FieldValues=values, **ours))
    # The number moved, and no event names it.
    values |= {"name": "Fjordbygg Nord AS", "orgNr": "912345679"}
    post(body(Timestamp="2026-03-05T10:00:00Z", Changes=["name"], FieldValues=values, **ours))
    related = {"contact_id": 4711, "person_id": 77, "lastname": "Hagen"}
    post(
        body(
            Event="person.changed",
            Entity="person",
            PrimaryKey=77,
            Changes=["lastname"],
            FieldValues=related,
            **ours,
        )
    )


@pytest.fixture
def auditor(db):
    return get_user_model().objects.create_superuser("auditor", "a@example.com", "auditor")
