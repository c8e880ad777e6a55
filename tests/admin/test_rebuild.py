"""The action that rebuilds events from their deliveries."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection

from superoffice_hooks.models import Delivery, Event
from tests.builders import body, post

LIST = "/admin/superoffice_hooks/event/"
BOTH = ("view_event", "reprocess_delivery")

pytestmark = pytest.mark.django_db


@pytest.fixture
def events():
    """Four events; the first two are not as their deliveries give them."""
    for key in range(4):
        post(body(PrimaryKey=key))
    events = list(Event.objects.order_by("id"))
    Event.objects.filter(pk__in=[events[0].pk, events[1].pk]).update(webhook_name="Other")
    events[0].changed_fields.all().delete()
    return events


def choose(client, events, **extra):
    data = {"action": "rebuild", "_selected_action": [event.pk for event in events]}
    return client.post(LIST, data | extra, follow=True)


def told(answer):
    return [(message.level_tag, message.message) for message in answer.context["messages"]]


def test_the_action_rebuilds_what_is_selected_and_says_what_differed(events, login):
    client = login(*BOTH)
    assert 'value="rebuild"' in client.get(LIST).content.decode()
    assert told(choose(client, events[:3])) == [
        ("info", "1 event is as its delivery gives it."),
        (
            "success",
            "2 events were rebuilt from their deliveries; what differed: webhook_name (2), "
            "changed_fields (1).",
        ),
    ]
    assert set(Event.objects.values_list("webhook_name", flat=True)) == {"Audit trail"}
    assert events[0].changed_fields.count() == 3
    entries = LogEntry.objects.order_by("id")
    assert [entry.object_id for entry in entries] == [str(event.pk) for event in events[:2]]
    assert entries[0].change_message == "Rebuilt: webhook_name, changed_fields."


def test_what_cannot_be_rebuilt_is_named(events, login):
    Delivery.objects.filter(event=events[2]).delete()
    Delivery.objects.filter(event=events[3]).update(body=b"<")
    assert told(choose(login(*BOTH), events[2:])) == [
        ("error", "1 event was left as it is: no delivery is kept that recorded it"),
        ("error", "1 event was left as it is: this version cannot read the body that recorded it"),
    ]


@pytest.mark.django_db(transaction=True)
def test_where_the_database_does_not_take_it_nothing_is_changed(events, login):
    def execute(run, sql, params, many, context):
        if sql.startswith("UPDATE") and "superoffice_hooks_event" in sql:
            raise OperationalError("disk full: secret words")
        return run(sql, params, many, context)

    client = login(*BOTH)
    with connection.execute_wrapper(execute):
        answer = choose(client, events)
    assert told(answer) == [
        ("info", "2 events are as their deliveries give them."),
        ("error", "2 events were left as they are: The database could not take it."),
    ]
    assert Event.objects.filter(webhook_name="Other").count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_whole_list_is_rebuilt_up_to_a_number(events, login, monkeypatch):
    monkeypatch.setattr("superoffice_hooks.admin.rebuild.MAX_AT_ONCE", 1)
    answer = choose(login(*BOTH), events[3:], select_across="1")
    assert told(answer) == [
        (
            "success",
            "1 event was rebuilt from its delivery; what differed: webhook_name (1), "
            "changed_fields (1).",
        ),
        ("warning", "Only the oldest 1 were processed. Choose the action again for the others."),
    ]
    assert Event.objects.filter(webhook_name="Other").count() == 1


@pytest.mark.parametrize("codenames", [(), ("view_event",), ("reprocess_delivery",)], ids=str)
def test_nobody_without_both_permissions_rebuilds_anything(events, login, codenames):
    client = login(*codenames)
    choose(client, events)
    assert Event.objects.filter(webhook_name="Other").count() == 2
    if "view_event" in codenames:
        assert 'value="rebuild"' not in client.get(LIST).content.decode()


def test_what_is_outside_the_scope_is_not_rebuilt(events, login, settings):
    scope = {"CONTEXTS_FOR_USER": lambda user: ["Another"]}
    settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **scope}
    choose(login(*BOTH), events)
    assert Event.objects.filter(webhook_name="Other").count() == 2
