"""``api/summary/``: how many events there are, and that it counts what the list shows."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from superoffice_hooks.models import Event
from superoffice_hooks.trail import activity
from tests.builders import body, post
from tests.payloads import PAYLOADS

URL = "/superoffice/api/summary/"
TODAY = datetime.now(UTC)
EVENTS = "/superoffice/api/events/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(admin_client):
    for day, entity, action, associate in (
        ("01T09", "contact", "changed", 1),
        ("01T10", "contact", "changed", 1),
        ("01T23", "sale", "sold", 2),
        ("03T00", "contact", "deleted", 0),
        ("03T12", "sale", "changed", 1),
    ):
        post(
            body(
                Timestamp=f"2026-03-{day}:00:00Z",
                Event=f"{entity}.{action}",
                Entity=entity,
                ChangedByAssociateId=associate,
                ContextIdentifier="Acme" if entity == "sale" else "Cust24680",
            )
        )
    return admin_client


MARCH = {"occurred_at_after": "2026-03-01T00:00:00Z", "occurred_at_before": "2026-03-03T23:59:59Z"}


def test_counts_by_day_action_entity_associate_and_tenant(stored):
    assert stored.get(URL, MARCH).json() == {
        "begin": "2026-03-01T00:00:00Z",
        "end": "2026-03-03T23:59:59.000001Z",
        "counted_from": "2026-03-01T00:00:00Z",
        "count": 5,
        "days": [
            {
                "begin": "2026-03-01T00:00:00Z",
                "end": "2026-03-02T00:00:00Z",
                "count": 3,
                "actions": {"changed": 2, "sold": 1},
            },
            {
                "begin": "2026-03-02T00:00:00Z",
                "end": "2026-03-03T00:00:00Z",
                "count": 0,
                "actions": {},
            },
            {
                "begin": "2026-03-03T00:00:00Z",
                "end": "2026-03-03T23:59:59.000001Z",
                "count": 2,
                "actions": {"changed": 1, "deleted": 1},
            },
        ],
        "actions": [
            {"action": "changed", "count": 3},
            {"action": "sold", "count": 1},
            {"action": "deleted", "count": 1},
        ],
        "entities": [{"entity": "contact", "count": 3}, {"entity": "sale", "count": 2}],
        "associates": [
            {
                "context_identifier": context,
                "associate_id": associate,
                "name": None,
                "is_integration": False,
                "count": count,
            }
            for context, associate, count in (
                *(("Cust24680", 1, 2), ("Acme", 1, 1), ("Acme", 2, 1), ("Cust24680", 0, 1)),
            )
        ],
        "tenants": [
            {"context_identifier": "Cust24680", "count": 3},
            {"context_identifier": "Acme", "count": 2},
        ],
    }


@pytest.mark.parametrize(
    "query",
    [
        *({"entity": "sale"}, {"action__in": "sold,deleted"}, {"context_identifier": "Acme"}),
        *({"changed_by_associate_id": 1}, {"changed_field": "name"}, {"name": "sale.sold"}),
        *({"changed_field": "absent"}, {"occurred_at_after": "2026-03-01T10:00:00Z"}),
        {"occurred_at_before": "2026-03-01T23:00:00Z"},
    ],
    ids=str,
)
def test_counts_what_the_list_shows(stored, query):
    listed = stored.get(EVENTS, MARCH | query).json()["results"]
    found = stored.get(URL, MARCH | query).json()
    assert found["count"] == len(listed) == sum(day["count"] for day in found["days"])
    for counted, column in (("actions", "action"), ("entities", "entity")):
        counts = {row[column]: row["count"] for row in found[counted]}
        assert counts == Counter(event[column] for event in listed)


def test_counts_the_documented_events_of_each_day(admin_client):
    for wire in PAYLOADS:
        post(wire)
    span = {"occurred_at_after": "2026-01-01", "occurred_at_before": "2026-12-31"}
    days = Counter(
        f"{moment:%Y-%m-%d}"
        for moment in Event.objects.filter(occurred_at__year=2026).values_list(
            "occurred_at", flat=True
        )
    )
    found = admin_client.get(URL, span).json()["days"]
    assert {day["begin"][:10]: day["count"] for day in found if day["count"]} == days


def test_a_day_begins_where_the_site_is(stored, settings):
    settings.TIME_ZONE = "Europe/Oslo"
    timezone.activate("Europe/Oslo")
    try:
        days = stored.get(URL, MARCH).json()["days"]
    finally:
        timezone.deactivate()
    assert [day["count"] for day in days] == [2, 1, 2, 0]
    assert days[1]["begin"] == "2026-03-02T00:00:00+01:00"


@pytest.mark.parametrize(
    ("query", "begin", "end"),
    [
        ({"occurred_at_before": "2026-03-31T00:00Z"}, "2026-03-01", "2026-03-31"),
        ({"occurred_at_before": "2026-03-31"}, "2026-03-02", "2026-04-01"),
        ({"occurred_at_after": f"{TODAY:%Y}-01-01"}, f"{TODAY:%Y}-01-01", f"{TODAY:%Y-%m-%d}"),
    ],
    ids=["no beginning", "a day", "no end"],
)
def test_begins_thirty_days_earlier_and_ends_now_unless_asked(admin_client, query, begin, end):
    found = admin_client.get(URL, query).json()
    assert (found["begin"][:10], found["end"][:10]) == (begin, end)
    assert "23:59:59.999999" not in found["begin"]


def test_is_of_the_last_thirty_days_where_nothing_is_asked(admin_client):
    post(body(Timestamp=datetime.now(UTC).isoformat()))
    found = admin_client.get(URL).json()
    assert (found["count"], len(found["days"])) == (1, 31)


@pytest.mark.parametrize(
    "query",
    [
        {"occurred_at_after": "2024-01-01", "occurred_at_before": "2026-01-01"},
        {"occurred_at_after": "2024-01-01", "occurred_at_before": "2025-01-01"},
        {"occurred_at_after": "2999-01-01"},
        {"occurred_at_before": "9999-12-31T23:59:59.999999Z"},
        {"occurred_at_after": "2026-01-02", "occurred_at_before": "2026-01-01"},
        {"occurred_at_after": "9999-12-30T00:00:00Z"},
        {"occurred_at_before": "0001-01-02T00:00:00Z"},
        {"occurred_at_after": "x"},
        {"ordering": "occurred_at"},
        {"cursor": "1"},
        {"entity": ""},
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused(admin_client, query):
    answer = admin_client.get(URL, query)
    assert answer.status_code == 400
    assert set(answer.json()) <= set(query)


def test_a_year_has_each_of_its_days(admin_client):
    span = {"occurred_at_after": "2024-01-01", "occurred_at_before": "2024-12-31"}
    days = admin_client.get(URL, span).json()["days"]
    assert (len(days), days[-1]["end"]) == (366, "2025-01-01T00:00:00Z")


def test_only_the_newest_are_counted_and_it_says_from_when(stored, monkeypatch):
    monkeypatch.setattr(activity, "MAX_ROWS", 2)
    found = stored.get(URL, MARCH).json()
    assert (found["count"], found["counted_from"]) == (2, "2026-03-01T23:00:00.000001Z")
    assert sum(day["count"] for day in found["days"]) == 2


def test_names_the_busiest_only(stored, monkeypatch):
    monkeypatch.setattr(activity, "MAX_COUNTED", 1)
    found = stored.get(URL, MARCH).json()
    assert found["actions"] == [{"action": "changed", "count": 3}]
    assert [len(found[name]) for name in ("entities", "associates", "tenants")] == [1, 1, 1]
    assert [(day["count"], day["actions"]) for day in found["days"]] == [
        *((3, {"changed": 2}), (0, {}), (2, {"changed": 1})),
    ]
    assert (activity.MAX_DAYS, found["count"]) == (366, 5)


def test_counts_the_readers_tenants_only(scoped):
    for number, context in enumerate(("Mine", "Mine", "Theirs")):
        post(body(ContextIdentifier=context, PrimaryKey=number))
    found = scoped.get(URL, MARCH).json()
    assert (found["count"], found["tenants"]) == (2, [{"context_identifier": "Mine", "count": 2}])
    assert scoped.get(URL, MARCH | {"context_identifier": "Theirs"}).json()["count"] == 0


def test_costs_the_same_queries_for_few_and_for_many(stored):
    def costs():
        with CaptureQueriesContext(connection) as queries:
            assert stored.get(URL, MARCH).status_code == 200
        return len([sql for sql in queries if sql["sql"].startswith("SELECT")])

    few = costs()
    for number in range(50):
        post(body(Event=f"e{number % 7}.changed", Entity=f"e{number % 7}"))
    assert costs() == few == 7
