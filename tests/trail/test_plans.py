"""Every filter has an index behind it: what the database says of its own plans."""

import pytest
from django.db import connection

from superoffice_hooks.models import Delivery, Event
from tests.builders import body, post

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB scans tables this small"),
]


@pytest.fixture
def plan():
    for number in range(20):
        post(body(PrimaryKey=number))

    def plan(queryset):
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                # For twenty rows it would do all of this; what it must not is need to.
                for costly in ("seqscan", "bitmapscan", "sort"):
                    cursor.execute(f"SET LOCAL enable_{costly} = off")
            prefix = "EXPLAIN" + (" QUERY PLAN" if connection.vendor == "sqlite" else "")
            sql, params = queryset.query.sql_with_params()
            cursor.execute(f"{prefix} {sql}", params)
            return "\n".join(str(row[-1]) for row in cursor.fetchall())

    return plan


SELECTIONS = {
    "all": Event.objects.all(),
    "context": Event.objects.filter(context_identifier="Cust24680"),
    "entity": Event.objects.filter(entity="contact"),
    "action": Event.objects.filter(action="changed"),
    "name": Event.objects.filter(name="contact.changed"),
    "primary key": Event.objects.filter(primary_key=7),
    "event id": Event.objects.filter(event_id="0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab"),
    "record": Event.objects.filter(primary_key=7, entity="contact", context_identifier="Cust24680"),
    "period": Event.objects.filter(occurred_at__gte="2026-01-01T00:00Z"),
    "changed field": Event.objects.changing("name"),
    "quarantined": Delivery.objects.filter(outcome="quarantined"),
    "deliveries of an event": Delivery.objects.filter(event_id=1),
}


@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
def test_no_selection_scans_a_table(plan, selection):
    found = plan(selection[:50])
    assert "Seq Scan" not in found
    for line in found.splitlines():
        assert not line.startswith("SCAN") or "USING" in line, found


@pytest.mark.parametrize(
    "name", ["all", "context", "entity", "action", "name", "record", "quarantined"]
)
def test_no_list_is_sorted_for_the_reader(plan, name):
    found = plan(SELECTIONS[name][:50])
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found
