"""Who is silent for unusually long: what is usual, and what it costs to know."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event
from superoffice_hooks.trail.silence import silences
from tests.trail.histories import MONDAY, store, told

pytestmark = pytest.mark.django_db


def sent(*hours, tenant="Cust24680"):
    """Store events of a tenant, so many hours after Monday the 2nd at nine."""
    store(*(told(hour, context_identifier=tenant) for hour in hours))


def at(hours):
    return MONDAY + timedelta(hours=hours)


def silent(hours):
    return [(found.context_identifier, found.usual) for found in silences(at(hours))]


def office(days, each=1.0):
    """The hours of events on working days, from nine to five; day 0 is a Monday."""
    return [
        day * 24 + step * each
        for day in range(days)
        if day % 7 < 5
        for step in range(int(8 / each) + 1)
    ]


def test_an_empty_trail_is_not_silent():
    assert silences() == []


def test_a_tenant_is_silent_after_twice_its_longest_gap():
    sent(*range(0, 24 * 9, 6))
    last = 24 * 9 - 6
    assert silent(last + 12) == []
    assert silent(last + 12.1) == [("Cust24680", timedelta(hours=6))]
    [found] = silences(at(last + 24 * 10))
    assert found.last == at(last)
    assert str(found) == (
        "Tenant 'Cust24680' has sent nothing since 2026-03-11 03:00 UTC; silences of up to 6 hours "
        "count as usual."
    )


def test_no_silence_of_less_than_two_hours_is_unusual():
    sent(*(hour / 60 for hour in range(0, 60 * 24 * 8, 45)))
    last = 24 * 8 - 0.75
    assert silent(last + 2) == []
    assert silent(last + 2.1) == [("Cust24680", timedelta(hours=1))]


def test_of_fewer_than_twenty_events_nothing_is_concluded():
    sent(*range(19))
    assert silent(10_000) == []
    sent(19)
    assert silent(10_000) == [("Cust24680", timedelta(days=3))]


def test_nights_and_weekends_of_an_office_are_usual():
    sent(*office(14))
    friday = 11 * 24 + 8
    assert silent(friday + 16 + 48) == []  # Monday at nine
    assert silent(friday + 2 * 64 + 0.1) == [("Cust24680", timedelta(hours=64))]


def test_a_busy_tenant_has_nights_too():
    """Its last 200 events are those of the last two hours; the night is in the weeks before."""
    sent(*office(12, each=0.01))
    friday = 11 * 24 + 8
    assert silent(friday + 14) == []
    [(_, usual)] = silent(friday + 24 * 6)
    assert timedelta(hours=63) <= usual <= timedelta(hours=64)


def test_the_first_weekend_of_a_new_tenant_is_no_alarm():
    sent(*office(5, each=0.25))
    friday = 4 * 24 + 8
    assert silent(friday + 64) == []
    assert silent(friday + 24 * 6 + 1) == [("Cust24680", timedelta(days=3))]


def test_each_tenant_is_judged_by_its_own_gaps_and_the_longest_silent_comes_first():
    sent(*range(0, 24 * 10, 2), tenant="Busy")
    sent(*range(0, 24 * 9, 2), tenant="Gone")
    sent(*range(0, 24 * 8, 2), tenant="Long gone")
    assert [tenant for tenant, _ in silent(24 * 10)] == ["Long gone", "Gone"]


def test_an_event_of_the_future_hides_no_silence():
    sent(*range(0, 24 * 9, 6), 24 * 365)
    assert silent(24 * 20) == [("Cust24680", timedelta(hours=6))]


def test_two_queries_for_a_quiet_tenant_and_none_for_the_others():
    sent(*range(0, 24 * 9, 6), tenant="Quiet")
    sent(24 * 20, tenant="Busy")
    sent(24 * 20 - 1, tenant="Busy too")
    with CaptureQueriesContext(connection) as queries:
        assert len(silent(24 * 20)) == 1
    few = len(queries)
    sent(*(24 * 20 - number / 100 for number in range(300)), tenant="Another")
    with CaptureQueriesContext(connection) as queries:
        assert len(silent(24 * 20)) == 1
    assert len(queries) == few
    sent(*(number / 100 for number in range(24 * 300)), tenant="Noisy, now quiet")
    with CaptureQueriesContext(connection) as queries:
        silent(24 * 20)
    assert len(queries) == few + 2


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB is told the index")
def test_a_silent_tenant_is_found_by_the_index_of_tenants():
    """Along the index of the time alone, all that others have sent since would be read."""
    sent(*range(0, 24 * 9, 6), tenant="Quiet")
    sent(*(24 * 10 + number / 100 for number in range(3_000)), tenant="Busy")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as queries:
        assert len(silent(24 * 60)) == 2
    prefix = "EXPLAIN" + (" QUERY PLAN" if connection.vendor == "sqlite" else "")
    ours = [query["sql"] for query in queries if "LIMIT 200" in query["sql"]]
    assert len(ours) == 2
    with connection.cursor() as cursor:
        for sql in ours:
            cursor.execute(f"{prefix} {sql}")
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            assert "so_event_ctx" in plan
            assert "so_event_time" not in plan
            assert "Sort" not in plan
            assert "TEMP B-TREE" not in plan
    assert Event.objects.count() > 3_000
