"""A million events on PostgreSQL: every filter and every order has an index, and reads little."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.api.filters import DeliveryFilter, EventFilter
from superoffice_hooks.models import Event

EVENTS = 1_000_000

pytestmark = [
    pytest.mark.large,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="These are PostgreSQL's plans."),
]

# 200 tenants and 30 entities, the first of each the busiest; a record has ten events; 2 fields of
# 40 an event; every hundredth a deletion that names a contact; every second names a contact; and
# every ten-thousandth is the twin of the one before it.
FILL = [
    """
    INSERT INTO superoffice_hooks_event (
        event_id, name, entity, action, primary_key, context_identifier, changed_by_associate_id,
        webhook_name, occurred_at, received_at, field_values, properties, flags, fingerprint
    )
    SELECT gen_random_uuid(), entity || '.' || action, entity, action, n / 10,
        'Cust' || floor(200 * power(random(), 3)), floor(500 * power(random(), 2)),
        'Hook ' || n % 5, at, at + random() * interval '3 s',
        jsonb_build_object('contact_id', n % 50000, 'name', 'Name ' || n), '{}', '[]',
        gen_random_uuid()
    FROM (
        SELECT n, 'entity' || floor(30 * power(random(), 3)) AS entity,
            CASE WHEN n % 100 = 0 THEN 'deleted' WHEN n % 10 = 1 THEN 'created' ELSE 'changed' END
            AS action, timestamptz '2025-01-01' + n * interval '30 s' AS at
        FROM generate_series(1, {events}) AS n
    ) AS told
    """,
    """
    UPDATE superoffice_hooks_event SET fingerprint = NULL, twin_of_id = id - 1
    WHERE id % 10000 = 0
    """,
    """
    INSERT INTO superoffice_hooks_changedfield (event_id, position, name)
    SELECT id, place, 'field' || (floor(20 * power(random(), 2)) + 20 * place)
    FROM superoffice_hooks_event, generate_series(0, 1) AS place
    """,
    """
    INSERT INTO superoffice_hooks_deletedvalue (event_id, name, value)
    SELECT id, 'contact_id', field_values -> 'contact_id' FROM superoffice_hooks_event
    WHERE action = 'deleted'
    """,
    """
    INSERT INTO superoffice_hooks_relatedrecord (
        event_id, entity, primary_key, context_identifier, occurred_at
    )
    SELECT id, 'contact', (field_values -> 'contact_id')::bigint, context_identifier, occurred_at
    FROM superoffice_hooks_event WHERE id % 2 = 0
    """,
    """
    INSERT INTO superoffice_hooks_delivery (
        endpoint, received_at, outcome, reason, event_id, signature, key_id, remote_address,
        headers, body
    )
    SELECT 'default', received_at, CASE WHEN id % 1000 = 0 THEN 'quarantined' ELSE 'recorded' END,
        '', id, '', '', '', '{}', ''
    FROM superoffice_hooks_event
    """,
    "ANALYZE",
]


@pytest.fixture(scope="module")
def million(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for sql in FILL:
            cursor.execute(sql.replace("{events}", str(EVENTS)))
        yield
        tables = ("event", "changedfield", "deletedvalue", "relatedrecord", "delivery")
        cursor.execute("TRUNCATE " + ", ".join(f"superoffice_hooks_{name}" for name in tables))


def nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def explained(sql, params=None):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        [(found,)] = cursor.fetchall()
    found = json.loads(found) if isinstance(found, str) else found
    return found[0]["Plan"]


def judge(plan, most):
    """No table of the trail is read through, and only so many rows are looked at."""
    looked_at = 0
    for node in nodes(plan):
        assert node["Node Type"] != "Seq Scan" or not node["Relation Name"].startswith(
            "superoffice_hooks_"
        ), json.dumps(plan, indent=1)
        if "Relation Name" in node:
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            looked_at += rows * node["Actual Loops"]
    assert looked_at <= most, (looked_at, json.dumps(plan, indent=1))


A_DAY = {"after": "2025-06-01T00:00:00Z", "before": "2025-06-02T00:00:00Z"}
FILTERS = {
    "nothing": {},
    "tenant, busy": {"context_identifier": "Cust0"},
    "tenant, quiet": {"context_identifier": "Cust199"},
    "tenant, unknown": {"context_identifier": "Nobody"},
    "tenants": {"context_identifier__in": "Cust0,Cust5"},
    "entity": {"entity": "entity3"},
    "entities": {"entity__in": "entity0,entity7"},
    "action": {"action": "deleted"},
    "actions": {"action__in": "deleted,created"},
    "name": {"name": "entity29.deleted"},
    "names": {"name__in": "entity0.changed,entity1.created"},
    "record": {"primary_key": 4711},
    "associate": {"changed_by_associate_id": 499},
    "webhook": {"webhook_name": "Hook 3"},
    "event id": {"event_id": "0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab"},
    "occurred": {f"occurred_at_{side}": moment for side, moment in A_DAY.items()},
    "occurred after": {"occurred_at_after": A_DAY["after"]},
    "occurred before": {"occurred_at_before": A_DAY["before"]},
    "received": {f"received_at_{side}": moment for side, moment in A_DAY.items()},
    "received after": {"received_at_after": A_DAY["after"]},
    "received before": {"received_at_before": A_DAY["before"]},
    "changed field, usual": {"changed_field": "field0"},
    "changed field, rare": {"changed_field": "field39"},
    "changed field, unknown": {"changed_field": "nothing"},
    "changed fields": {"changed_field": ["field0", "field20"]},
    "field value": {"field_value": "contact_id:4711"},
    "field value of a record": {"field_value": "name:Name 47110", "primary_key": 4711},
    "deleted value": {"deleted_value": "contact_id:4700"},
    "twins": {"is_twin": "true"},
    "twins of a tenant": {"is_twin": "true", "context_identifier": "Cust0"},
    "each change once": {"is_twin": "false"},
    "tenant, each change once": {"is_twin": "false", "context_identifier": "Cust0"},
    "tenant and entity": {"context_identifier": "Cust0", "entity": "entity0"},
    "tenant and field": {"context_identifier": "Cust0", "changed_field": "field0"},
}
ORDERS = ("-occurred_at", "occurred_at", "-received_at", "received_at")
MOST = 25_000  # rows; a page has 51, with their rows and what a second filter leaves out


def filled(filters, query):
    data = QueryDict(mutable=True)
    for name, value in query.items():
        data.setlist(name, [str(item) for item in (value if isinstance(value, list) else [value])])
    found = filters(data, queryset=filters._meta.model.objects.all())
    assert found.is_valid(), found.errors
    return found.qs


@pytest.mark.django_db
@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_a_filter_reads_by_an_index(million, query):
    sql, params = filled(EventFilter, query)[:51].query.sql_with_params()
    judge(explained(sql, params), MOST)


@pytest.mark.django_db
@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_read_by_an_index(million, order):
    sql, params = filled(EventFilter, {"ordering": order})[:51].query.sql_with_params()
    judge(explained(sql, params), 51)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        *({}, {"outcome": "quarantined"}, {"outcome": "refused"}, {"event": 4711}),
        {f"received_at_{side}": moment for side, moment in A_DAY.items()},
        *({"ordering": "received_at"}, {"ordering": "-received_at"}, {"ordering": "id"}),
    ],
    ids=str,
)
def test_a_filter_of_deliveries_reads_by_an_index(million, query):
    sql, params = filled(DeliveryFilter, query)[:51].query.sql_with_params()
    judge(explained(sql, params), MOST)


PAGES = {
    "a page within": "events/?cursor=2025-06-01T00:00:00Z_1",
    "the page before": "events/?cursor=back_2025-06-01T00:00:00Z_1",
    "a page of a tenant": "events/?context_identifier=Cust0&cursor=2025-06-01T00:00:00Z_1",
    "follow": "events/follow/?cursor={middle}",
    "follow a tenant": "events/follow/?cursor={middle}&context_identifier=Cust199",
    "follow a field": "events/follow/?cursor={middle}&changed_field=field39",
    "choices": "events/choices/",
    "a record": "records/{context_identifier}/{entity}/{primary_key}/",
    "a summary of a day": (
        "summary/?occurred_at_after=2025-06-01T00:00:00Z&occurred_at_before=2025-06-02T00:00:00Z"
    ),
    "a delivery": "deliveries/?page_size=1",
}


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_a_page_reads_by_an_index(million, client, path):
    client.force_login(get_user_model().objects.create_superuser("auditor"))
    middle = Event.objects.earliest("pk").pk + EVENTS // 2
    event = Event.objects.values("context_identifier", "entity", "primary_key").get(pk=middle)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get("/superoffice/api/" + path.format(middle=middle, **event))
    assert answer.status_code == 200
    for query in queries:
        if query["sql"].startswith(("SELECT", "WITH")) and "superoffice_hooks" in query["sql"]:
            judge(explained(query["sql"]), MOST)
