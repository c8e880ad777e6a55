"""One record of one tenant: its events, and its address in SuperOffice."""

import pytest
from django.contrib.auth.models import User

from superoffice_hooks.models import Event
from superoffice_hooks.trail.record import Record
from tests.builders import body, post

RECORD = Record("Cust24680", "contact", 4711)


def sees_another_tenant(user):
    return ["Cust1"]


@pytest.mark.django_db
class TestEvents:
    @pytest.fixture(autouse=True)
    def stored(self):
        wire = body(Timestamp="2026-03-02T09:15:27Z")
        post(wire)
        post(body(Event="contact.softdeleted", Timestamp="2026-03-02T09:15:29Z"))
        post(body(Event="contact.created", Timestamp="2026-03-02T09:15:26Z"))
        for other in (
            {"PrimaryKey": 4712},
            {"Entity": "person", "Event": "person.changed"},
            {"ContextIdentifier": "Cust1"},
            {"ContextIdentifier": "cust24680"},
        ):
            post(wire | other)

    def test_are_this_records_alone_newest_first(self):
        actions = [event.action for event in RECORD.events(User())]
        assert actions == ["softdeleted", "changed", "created"]

    def test_keep_to_what_the_user_may_see(self, settings):
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": sees_another_tenant}
        assert not RECORD.events(User()).exists()
        other = Record("Cust1", "contact", 4711)
        assert [event.context_identifier for event in other.events(User())] == ["Cust1"]

    def test_name_their_record(self):
        assert Record.of(Event.objects.filter(action="created").get()) == RECORD


def test_a_record_reads_as_entity_and_key():
    assert str(RECORD) == "contact 4711"


def test_a_sibling_is_of_the_same_tenant():
    assert RECORD.sibling("person", 88) == Record("Cust24680", "person", 88)


def test_without_a_setting_a_record_has_no_address(settings):
    assert RECORD.url is None
    settings.SUPEROFFICE_HOOKS = {"RECORD_URLS": {"sale": "https://crm.example.com/"}}
    assert RECORD.url is None


@pytest.mark.parametrize(
    ("record", "url"),
    [
        (RECORD, "https://crm.example.com/Cust24680/?contact_id=4711"),
        (RECORD.sibling("sale", -7), "https://crm.example.com/x/sale/-7/{}"),
        (Record("", "contact", 1), "https://crm.example.com//?contact_id=1"),
        (
            Record('a/../b?c&d=#"><é \n{entity}', "contact", 1),
            "https://crm.example.com/a%2F..%2Fb%3Fc%26d%3D%23%22%3E%3C%C3%A9%20%0A%7Bentity%7D/"
            "?contact_id=1",
        ),
        (
            RECORD.sibling("list.142/'javascript:", 1),
            "https://crm.example.com/x/list.142%2F%27javascript%3A/1/{}",
        ),
        (RECORD.sibling("*", 1), "https://crm.example.com/x/%2A/1/{}"),
    ],
    ids=["its own entity's", "any other's", "on-site", "a hostile tenant", "a hostile entity", "*"],
)
def test_the_address_is_the_settings_with_every_value_encoded(settings, record, url):
    settings.SUPEROFFICE_HOOKS = {
        "RECORD_URLS": {
            "contact": "https://crm.example.com/{context_identifier}/?contact_id={primary_key}",
            "*": "https://crm.example.com/x/{entity}/{primary_key}/{{}}",
        }
    }
    assert record.url == url
