"""Who may see what."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from superoffice_hooks.trail.scope import contexts_for, deliveries_for, events_for
from tests.builders import body, post

CONTEXTS = {"ann": ["Acme"], "bob": ["Acme", ""], "eve": [], "root": None}


def by_name(user):
    return None if CONTEXTS[user] is None else iter(CONTEXTS[user])


@pytest.fixture
def stored(db, settings):
    for context in ("Acme", "acme", ""):
        wire = body(ContextIdentifier=context)
        post(wire)
        post(wire)
    post(b"not JSON")
    post(body(Event="test", Entity=..., ContextIdentifier="Acme"))
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": "tests.trail.test_scope.by_name",
    }


def seen(user):
    events = sorted(event.context_identifier for event in events_for(user))
    return events, sorted(delivery.outcome for delivery in deliveries_for(user))


@pytest.mark.django_db
def test_without_the_setting_everybody_sees_every_tenant():
    post(body())
    assert contexts_for(object()) is None
    assert (events_for(object()).count(), deliveries_for(object()).count()) == (1, 1)


def test_none_means_every_tenant_and_what_belongs_to_no_tenant(stored):
    assert seen("root") == (
        ["", "Acme", "acme"],
        [*["duplicate"] * 3, "quarantined", *["recorded"] * 3, "test"],
    )


def test_a_user_sees_the_events_of_named_tenants_and_their_deliveries(stored):
    assert seen("ann") == (["Acme"], ["duplicate", "recorded"])


def test_the_empty_context_identifier_is_a_tenant_too(stored):
    assert seen("bob") == (["", "Acme"], ["duplicate", "duplicate", "recorded", "recorded"])


def test_no_tenant_means_nothing(stored):
    assert seen("eve") == ([], [])


def test_a_scope_that_does_not_import_shows_nothing_to_anybody(settings):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": "nowhere.scope",
    }
    with pytest.raises(ImproperlyConfigured):
        events_for("root")


def test_a_text_for_a_list_of_texts_is_an_error(settings):
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: "Acme"}
    with pytest.raises(ImproperlyConfigured, match="must return a list of texts"):
        contexts_for(object())
