"""What was set aside: how many, since when, and what it costs to know."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.trail import set_aside as module
from superoffice_hooks.trail.set_aside import set_aside
from tests.trail.histories import MONDAY

pytestmark = pytest.mark.django_db


def keep(outcome, *hours):
    Delivery.objects.bulk_create(
        Delivery(
            endpoint="default",
            received_at=MONDAY + timedelta(hours=hour),
            outcome=outcome,
            body=b"{}",
        )
        for hour in hours
    )


def test_nothing():
    keep(Outcome.RECORDED, 1)
    found = set_aside(Outcome.QUARANTINED)
    assert (found.count, found.is_more, found.first, found.last) == (0, False, None, None)
    assert str(found) == "0"


def test_of_one_outcome_how_many_and_since_when():
    keep(Outcome.REFUSED, 0)
    keep(Outcome.QUARANTINED, 1, 2, 3)
    keep(Outcome.REFUSED, 4)
    found = set_aside(Outcome.QUARANTINED)
    assert (found.count, found.is_more) == (3, False)
    assert found.first == MONDAY + timedelta(hours=1)
    assert found.last == MONDAY + timedelta(hours=3)
    assert str(found) == "3, the first of 2026-03-02 10:00 UTC"


def test_of_the_refused_those_that_may_yet_be_verified():
    now = timezone.now()
    for signature, days in (("signed", 1), ("", 1), ("signed", 31)):
        Delivery.objects.create(
            endpoint="default",
            received_at=now - timedelta(days=days),
            outcome=Outcome.REFUSED,
            signature=signature,
            body=b"",
        )
    found = set_aside(Outcome.REFUSED)
    assert (found.count, found.last) == (1, now - timedelta(days=1))


@pytest.mark.parametrize(("bound", "count", "is_more"), [(3, 3, False), (2, 2, True)])
def test_more_than_the_bound_are_not_counted(monkeypatch, bound, count, is_more):
    monkeypatch.setattr(module, "MAX_COUNTED", bound)
    keep(Outcome.QUARANTINED, 1, 2, 3)
    found = set_aside(Outcome.QUARANTINED)
    assert (found.count, found.is_more) == (count, is_more)
    assert str(found).startswith("more than 2," if is_more else "3,")


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB scans tables this small")
def test_all_is_read_from_the_index_of_outcomes():
    keep(Outcome.RECORDED, *range(2_000))
    keep(Outcome.QUARANTINED, 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as queries:
        set_aside(Outcome.QUARANTINED)
    assert len(queries) == 3
    prefix = "EXPLAIN" + (" QUERY PLAN" if connection.vendor == "sqlite" else "")
    with connection.cursor() as cursor:
        for query in list(queries):
            cursor.execute(f"{prefix} {query['sql']}")
            assert "so_delivery_outcome" in str(cursor.fetchall())
