"""When a webhook was off: of this tenant, each time once, however the record is paged."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.outages import outages
from superoffice_hooks.trail.timeline import timeline
from tests.builders import body, post
from tests.trail.histories import MONDAY, RECORD, store, told, wire_time

pytestmark = pytest.mark.django_db


def webhook(hours, action, number=7, **more):
    """Post what SuperOffice says of a webhook itself."""
    wire = body(
        Event=f"webhook{number}.{action}",
        Entity=f"webhook{number}",
        PrimaryKey=number,
        Timestamp=wire_time(hours),
        Changes=None,
        FieldValues=None,
        **more,
    )
    assert post(wire).content == b"recorded\n"


def hours(event):
    return event and (event.occurred_at - MONDAY).total_seconds() / 3600


def off(context_identifier="Cust24680"):
    return [
        (one.stopped.entity, hours(one.stopped), hours(one.started))
        for one in outages(context_identifier, User())
    ]


@pytest.mark.parametrize("stopping", ["errors", "stopped"])
def test_lasts_from_the_event_that_stopped_a_webhook_to_the_one_that_started_it(stopping):
    webhook(1, stopping)
    webhook(3, "started")
    assert off() == [("webhook7", 1, 3)]


def test_is_told_of_the_entity_webhook_too():
    post(body(Event="webhook.errors", Entity=..., PrimaryKey=66, Timestamp=wire_time(1)))
    post(body(Event="webhook.started", Entity=..., PrimaryKey=66, Timestamp=wire_time(2)))
    post(body(Event="webhook.stopped", Entity=..., PrimaryKey=67, Timestamp=wire_time(3)))
    assert [
        (found.stopped.primary_key, found.started and found.started.action)
        for found in outages("Cust24680", User())
    ] == [(66, "started"), (67, None)]


def test_without_a_webhook_event_there_is_none():
    post(body())
    post(body(Event="webhook8.errors", Entity="webhook8", PrimaryKey=7))
    post(body(Event="webhooks7.errors", Entity="webhooks7", PrimaryKey=7))
    assert off() == []


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([(1, "started")], []),
        ([(1, "errors")], [(1, None)]),
        ([(1, "errors"), (2, "stopped"), (3, "started")], [(1, 3)]),
        ([(1, "errors"), (2, "started"), (3, "started")], [(1, 2)]),
        ([(1, "errors"), (2, "started"), (3, "stopped")], [(1, 2), (3, None)]),
        ([(1, "errors"), (2, "changed"), (3, "started")], [(1, 3)]),
        ([(3, "started"), (1, "errors"), (2, "stopped")], [(1, 3)]),
    ],
    ids=str,
)
def test_each_begins_where_it_was_first_told_and_ends_where_it_was_started(told, found):
    for at, action in told:
        webhook(at, action)
    assert off() == [("webhook7", *one) for one in found]


def test_each_webhook_has_its_own():
    webhook(1, "errors", 7)
    webhook(2, "stopped", 12345678)
    webhook(3, "started", 7)
    webhook(4, "started", 12345678)
    webhook(0, "errors", 8)
    assert off() == [("webhook8", 0, None), ("webhook7", 1, 3), ("webhook12345678", 2, 4)]


def test_the_number_of_a_webhook_is_no_other_record():
    webhook(1, "errors")
    for wire in (
        {"Event": "contact.errors", "Entity": "contact", "PrimaryKey": 7},
        {"Event": "webhook7.started", "Entity": "webhook7", "PrimaryKey": 8},
    ):
        post(body(Timestamp=wire_time(2), **wire))
    assert off() == [("webhook7", 1, None)]


def test_another_tenants_are_never_shown(settings):
    webhook(1, "errors", ContextIdentifier="Cust1")
    webhook(2, "stopped")
    webhook(3, "started", ContextIdentifier="Cust1")
    webhook(4, "errors", ContextIdentifier="")
    assert off() == [("webhook7", 2, None)]
    assert off("Cust1") == [("webhook7", 1, 3)]
    assert off("") == [("webhook7", 4, None)]
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["Cust1"]}
    assert off() == []


def test_costs_two_queries_for_any_number_of_webhooks():
    counts = []
    for numbers in (range(1, 3), range(3, 40)):
        for number in numbers:
            webhook(number, "errors", number)
        with CaptureQueriesContext(connection) as queries:
            off()
        counts.append(len(queries))
    assert counts == [2, 2]


class TestInTheTimeline:
    """120 events of the record, one an hour: its pages begin at the hours 119, 69 and 19."""

    @pytest.fixture(autouse=True)
    def stored(self):
        store(*(told(hour) for hour in range(120)))

    def shown(self):
        """Which outages each page shows, and after which entries."""
        pages, before = [], None
        while True:
            page = timeline(RECORD, User(), Technical(), before)
            newer, found = None, []
            for item in page:
                if hasattr(item, "stopped"):
                    found.append((hours(item.stopped), hours(item.started), newer))
                elif hasattr(item, "event"):
                    newer = hours(item.event)
            pages.append(found)
            before = page.older
            if before is None:
                return pages

    @pytest.mark.parametrize(
        ("begin", "end", "page", "newer"),
        [
            (200, None, 0, None),
            (119.5, 130, 0, None),
            (118.5, 118.6, 0, 119),
            (70, 70.5, 0, 70),
            (70, 500, 0, 70),
            (69.5, 70.5, 1, None),
            (69, 69.5, 1, 69),
            (20, None, 1, 20),
            (19.5, 119.5, 2, None),
            (0, 0.5, 2, 0),
            (-5, 0.5, 2, 0),
            (-5, None, 2, 0),
        ],
        ids=str,
    )
    def test_each_is_shown_once_where_it_began(self, begin, end, page, newer):
        webhook(begin, "errors")
        if end is not None:
            webhook(end, "started")
        found = self.shown()
        assert found[page] == [(begin, end, newer)]
        assert sum(map(len, found)) == 1

    def test_one_that_ended_before_the_record_is_first_seen_is_not_its_own(self):
        webhook(-5, "errors")
        webhook(-1, "started")
        assert self.shown() == [[], [], []]

    def test_several_are_shown_newest_first(self):
        webhook(100.2, "errors", 1)
        webhook(100.1, "errors", 2)
        webhook(100.3, "stopped", 3)
        webhook(50, "errors", 4)
        webhook(101, "started", 1)
        webhook(110, "started", 2)
        assert self.shown() == [
            [(100.3, None, 101), (100.2, 101, 101), (100.1, 110, 101)],
            [(50, None, 50)],
            [],
        ]

    def test_another_tenants_is_not_there(self):
        webhook(100, "errors", ContextIdentifier="Cust1")
        assert self.shown() == [[], [], []]
