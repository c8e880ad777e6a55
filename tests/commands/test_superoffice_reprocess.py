"""``superoffice_reprocess --rebuild``: events, derived again from their deliveries."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from superoffice_hooks.management import again
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, post

pytestmark = pytest.mark.django_db


def rebuild(*events, **options) -> tuple[list[str], list[str], str]:
    """Run the command; return what it printed, its failures, and the error that ended it."""
    out, err = io.StringIO(), io.StringIO()
    failed = ""
    try:
        call_command(
            "superoffice_reprocess",
            rebuild=list(events),
            stdout=out,
            stderr=err,
            **options,
        )
    except CommandError as error:
        failed = f"{error.returncode}: {error}"
    return out.getvalue().splitlines(), err.getvalue().splitlines(), failed


@pytest.fixture
def events(monkeypatch):
    """Five events, the second and fourth of which are not as their deliveries give them."""
    monkeypatch.setattr(again, "STEP", 2)
    for key in range(5):
        post(body(PrimaryKey=key, ContextIdentifier="Cust1" if key < 3 else "Cust2"))
    events = list(Event.objects.order_by("id"))
    Event.objects.filter(pk=events[1].pk).update(webhook_name="Other", field_values={})
    events[3].changed_fields.all().delete()
    return events


def test_what_differs_is_reported_and_written(events):
    out, err, failed = rebuild(dry_run=True)
    assert out == [
        f"event {events[1].pk}: webhook_name, field_values.name, field_values.orgNr, "
        "field_values.contact_id",
        f"event {events[3].pk}: changed_fields (0 → 3)",
        "3 events are as their deliveries give them, 2 differ.",
    ]
    assert (err, failed) == ([], "")
    assert Event.objects.get(pk=events[1].pk).webhook_name == "Other"

    rebuilt = "3 events are as their deliveries give them, 2 were rebuilt."
    assert rebuild() == ([*out[:2], rebuilt], [], "")
    assert Event.objects.get(pk=events[1].pk).webhook_name == "Audit trail"
    assert events[3].changed_fields.count() == 3
    assert rebuild()[0] == ["5 events are as their deliveries give them, 0 were rebuilt."]


def test_values_are_told_to_who_asks_twice(events):
    out, _, _ = rebuild(events[1].pk, dry_run=True, verbosity=2)
    assert out[:2] == [
        f"event {events[1].pk}: webhook_name: 'Other' → 'Audit trail'",
        f"event {events[1].pk}: field_values.name: '…' → 'Fjordbygg AS'",
    ]
    assert not any("Fjordbygg" in line for line in rebuild(dry_run=True)[0])


def test_only_these_or_only_of_a_tenant(events):
    out, _, _ = rebuild(events[3].pk, events[4].pk)
    assert out[-1] == "1 event is as its delivery gives it, 1 was rebuilt."
    out, _, _ = rebuild(context="Cust1")
    assert out[-1] == "2 events are as their deliveries give them, 1 was rebuilt."
    out, _, _ = rebuild(context="Cust2", verbosity=0)
    assert out == []


def test_what_has_to_be_left_is_named_and_an_error(events):
    Delivery.objects.filter(event=events[0]).delete()
    Delivery.objects.filter(event=events[2]).update(body=b"<")
    gone = events[4].pk + 1
    out, err, failed = rebuild(*[event.pk for event in events], gone, verbosity=0)
    assert out == []
    assert err == [
        f"event {gone}: there is none",
        f"event {events[0].pk}: no delivery is kept that recorded it",
        f"event {events[2].pk}: this version cannot read the body that recorded it: The body is "
        "not JSON: Expecting value (at character 0)",
    ]
    assert failed == "1: 3 events could not be rebuilt."
    assert events[3].changed_fields.count() == 3  # those behind are rebuilt all the same


@pytest.mark.django_db(transaction=True)
def test_what_the_database_does_not_take_is_left_and_named_without_values(events):
    def execute(run, sql, params, many, context):
        if sql.startswith("UPDATE") and "superoffice_hooks_event" in sql:
            raise OperationalError("disk full: Fjordbygg AS")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        _, err, failed = rebuild()
    assert err == [f"event {events[1].pk}: OperationalError"]
    assert failed == "1: 1 event could not be rebuilt."
    assert events[3].changed_fields.count() == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--context", "Cust1"], "--context goes with --rebuild."),
        (["--rebuild", "--endpoint", "acme"], "--endpoint does not go with --rebuild."),
        (["--rebuild", "x"], "invalid int value"),
    ],
)
def test_options_that_do_not_go_together(arguments, error):
    with pytest.raises(CommandError, match=error):
        call_command("superoffice_reprocess", *arguments)
