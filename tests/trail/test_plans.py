"""Every filter has an index behind it: what the database says of its own plans."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import ChangedField, Delivery, Event, RelatedRecord
from superoffice_hooks.trail import facets
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


MARCH = "2026-03-01T00:00Z"
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
    "associate": Event.objects.filter(changed_by_associate_id=12),
    "webhook": Event.objects.filter(webhook_name="Audit trail"),
    "oldest first": Event.objects.order_by("occurred_at", "id"),
    "changed field": Event.objects.changing("name"),
    "any of two actions": Event.objects.filter(action__in=["deleted", "softdeleted"]),
    "any of two tenants": Event.objects.filter(context_identifier__in=["Cust24680", "Acme"]),
    "action in a period": Event.objects.filter(action="changed", occurred_at__gte=MARCH),
    "record of any tenant": Event.objects.filter(primary_key=7, entity="contact"),
    "entity and tenant of a number": Event.objects.filter(primary_key=7).order_by(
        "entity", "context_identifier"
    ),
    "named event of a number": Event.objects.filter(primary_key=7, name="contact.changed"),
    "each change once": Event.objects.once(),
    "each change of a tenant once": Event.objects.once().filter(context_identifier="Cust24680"),
    "twins": Event.objects.twins(),
    "twins of two events": Event.objects.twins_of(
        *(
            Event(
                pk=pk,
                primary_key=7,
                entity="contact",
                context_identifier="Cust24680",
                occurred_at=datetime(2026, 3, pk, tzinfo=UTC),
            )
            for pk in (1, 2)
        )
    ),
    "what told a change first": Event.objects.filter(
        fingerprint="0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab"
    ),
    "name of a field": ChangedField.objects.filter(name="name").order_by(),
    "around a record": RelatedRecord.objects.filter(
        primary_key=7, entity="contact", context_identifier="Cust24680", event__twin_of=None
    ),
    "arrived in a period": Delivery.objects.filter(received_at__gte=MARCH).order_by(
        "-received_at", "-id"
    ),
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
    "name",
    [
        *("all", "context", "entity", "action", "name", "record", "quarantined", "associate"),
        *("webhook", "oldest first", "action in a period", "entity and tenant of a number"),
        *("each change once", "each change of a tenant once"),
        *("around a record", "arrived in a period"),
    ],
)
def test_no_list_is_sorted_for_the_reader(plan, name):
    found = plan(SELECTIONS[name][:50])
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize("model", [ChangedField, RelatedRecord])
def test_the_rows_of_some_events_are_found_by_the_event(plan, model):
    [index] = model._meta.indexes
    found = plan(model.objects.filter(event__in=[1, 2]))
    begin = {
        "postgresql": rf"using {index.name} on .*\n.*Index Cond: \(event_id = ANY",
        "sqlite": rf"SEARCH .* USING INDEX {index.name} \(event_id=\?",
    }
    assert re.search(begin[connection.vendor], found), found


@pytest.fixture
def busy_trail():
    """A quiet tenant, whose events are the oldest, among busy ones."""
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    Event.objects.bulk_create(
        [
            Event(
                event_id=uuid4(),
                name="contact.changed",
                entity="contact",
                action="changed",
                primary_key=number,
                context_identifier="Quiet" if number < 5 else f"Busy{number % 3}",
                changed_by_associate_id=12,
                webhook_name="Audit trail",
                occurred_at=begin + timedelta(minutes=number),
                received_at=begin,
            )
            for number in range(3_000)
        ],
        batch_size=500,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def explained(*made):
    """What the database says of its plans for these queries as they were sent."""
    prefix = "EXPLAIN" + (" QUERY PLAN" if connection.vendor == "sqlite" else "")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # three thousand rows are soon read
        for sql in made:
            cursor.execute(f"{prefix} {sql}")
            yield "\n".join(str(row[-1]) for row in cursor.fetchall())


def assert_the_tenants_own_index(plan):
    [index] = [
        index.name
        for index in Event._meta.indexes
        if [name.lstrip("-") for name in index.fields]
        == ["context_identifier", "occurred_at", "id"]
    ]
    # What is there for its collation alone has no rows: SQLite sees that before it reads.
    plan = plan.replace(
        f"LEFT-MOST SUBQUERY\nSCAN superoffice_hooks_event USING COVERING INDEX {index}\n", ""
    )
    assert index in plan
    assert "so_event_time" not in plan
    for line in plan.splitlines():
        if connection.vendor == "sqlite" and "superoffice_hooks_event" in line:
            assert re.search(rf"SEARCH .* {index} \(context_identifier[=<>]", line), plan
    if connection.vendor == "postgresql":
        assert "Seq Scan on superoffice_hooks_event" not in plan
        # One condition for each use of the index, and on the tenant.
        assert plan.count(index) == len(re.findall(r"Index Cond: \(+context_identifier", plan))


@pytest.mark.parametrize("field", ["entity", "action", "webhook_name"])
@pytest.mark.parametrize("contexts", [["Quiet"], ["Busy0", "Quiet", "Nobody"]], ids=str)
def test_the_choices_of_a_restricted_user_read_the_tenants_own_events(busy_trail, field, contexts):
    with CaptureQueriesContext(connection) as made:
        assert len(facets.choices(field, contexts)) == 1
    [plan] = explained(*(query["sql"] for query in made))
    assert_the_tenants_own_index(plan)


@pytest.mark.parametrize("contexts", [["Quiet"], ["Busy0", "Quiet", "Nobody"], None], ids=str)
def test_the_newest_event_of_a_quiet_tenant_is_found_by_its_own_index(busy_trail, contexts):
    with CaptureQueriesContext(connection) as made:
        found = {event.context_identifier: event.primary_key for event in facets.newest(contexts)}
    newest = {"Quiet": 4, "Busy0": 2_997, "Busy1": 2_998, "Busy2": 2_999}
    assert found == {name: newest[name] for name in contexts or newest if name in newest}
    [sql] = [query["sql"] for query in made if "tenant" in query["sql"]]
    [plan] = explained(sql)
    assert_the_tenants_own_index(plan)
