"""Which values a filter can offer, without reading the events."""

from collections.abc import Iterable, Sequence

from django.db import connections, router
from django.db.models import Model

from superoffice_hooks.models import ChangedField, Event
from superoffice_hooks.models.event import EventQuerySet

FACETS = ("entity", "action", "context_identifier", "webhook_name")
MAX_CHOICES = 200
NEWEST = 1_000  # events of a tenant, in which a restricted user's choices are looked for
MAX_TENANTS = 1_000  # whose newest event is looked for


def choices(
    field: str,
    contexts: Iterable[str] | None = None,
    limit: int | None = None,
) -> list[str]:
    """Return the first 200 different values of an indexed field of Event, in order.

    A loose index scan: it jumps from one value to the next in the index of the field, and takes
    as many steps as there are values, whatever the number of events. ``SELECT DISTINCT`` reads
    them all. ``limit`` is for more or fewer than 200.

    ``contexts`` keeps to these tenants, of each of whom the newest 1,000 events are looked at: an
    index that knows tenants and this field would cost every event more than a filter's choices
    are worth. The tenants themselves are offered as they stand.
    """
    if field not in FACETS:
        raise ValueError(f"{field} is not one of {', '.join(FACETS)}.")
    if contexts is None:
        return _walk(Event, field, limit)
    if field == "context_identifier":
        return sorted(contexts)[: limit or MAX_CHOICES]
    return _of_tenants(field, sorted(contexts)[:MAX_CHOICES], limit)


def field_names() -> list[str]:
    """Return the first 200 different names of changed fields in order, of every tenant's events.

    It reads the index in the same way. The index knows no tenants: this is for users who may see
    all of them.
    """
    return _walk(ChangedField, "name")


def newest(contexts: Iterable[str] | None = None) -> EventQuerySet:
    """Return the newest event of each tenant, for the first 1,000 tenants.

    One step in the index for each tenant, whatever the number of events. ``contexts`` keeps to
    these tenants.
    """
    tenants = choices("context_identifier", contexts, limit=MAX_TENANTS)
    if not tenants:
        return Event.objects.none()
    connection = connections[router.db_for_read(Event)]
    quote = connection.ops.quote_name
    table, column = quote(Event._meta.db_table), quote("context_identifier")
    # Names come from the model's own metadata; values are parameters. The first SELECT has no
    # rows: it gives the values the column's collation, in which MariaDB then compares them.
    sql = f"""
        WITH tenant (value) AS (
            SELECT {column} FROM {table} WHERE 1 = 0
            UNION ALL VALUES {", ".join(["(%s)"] * len(tenants))}
        )
        SELECT (SELECT id FROM {table} WHERE {column} <= tenant.value
                ORDER BY {column} DESC, occurred_at DESC, id DESC LIMIT 1)
        FROM tenant
    """  # noqa: S608
    # With "=" the time alone would be the order, and PostgreSQL would walk back in time through
    # the events of all tenants. A tenant without events gives another's: left out below, or there
    # twice.
    with connection.cursor() as cursor:
        cursor.execute(sql, tenants)
        found = [pk for (pk,) in cursor.fetchall() if pk is not None]
    return Event.objects.in_contexts(contexts).filter(pk__in=found)


def _walk(model: type[Model], field: str, limit: int | None = None) -> list[str]:
    """Return the different values of an indexed field, in order."""
    connection = connections[router.db_for_read(model)]
    quote = connection.ops.quote_name
    table, column = quote(model._meta.db_table), quote(field)
    # Names come from the model's own metadata; values are parameters.
    if connection.vendor == "mysql":
        # MariaDB reads a whole index to compare it with a value that is not a constant, and jumps
        # through it by itself for DISTINCT.
        sql = f"""
            SELECT DISTINCT {column} FROM {table} WHERE {column} >= ''
            ORDER BY {column} LIMIT %s
        """  # noqa: S608
    else:
        sql = f"""
            WITH RECURSIVE facet (value, steps) AS (
                SELECT MIN({column}), 1 FROM {table} WHERE {column} >= ''
                UNION ALL
                SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > facet.value), steps + 1
                FROM facet WHERE facet.value IS NOT NULL AND steps < %s
            )
            SELECT value FROM facet WHERE value IS NOT NULL
        """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [limit or MAX_CHOICES])
        return [value for (value,) in cursor.fetchall()]


def _of_tenants(field: str, contexts: Sequence[str], limit: int | None) -> list[str]:
    """Return the different values of a field in the newest events of these tenants, in order."""
    if not contexts:
        return []
    connection = connections[router.db_for_read(Event)]
    quote = connection.ops.quote_name
    table, column = quote(Event._meta.db_table), quote(field)
    tenant = quote("context_identifier")
    # Each part reads the index of one tenant's time. SQLite wants a LIMIT inside a SELECT of its
    # own, and the tenant in the order keeps PostgreSQL from the index of the time alone.
    part = f"""
        SELECT value FROM (
            SELECT {column} AS value FROM {table} WHERE {tenant} = %s
            ORDER BY {tenant} DESC, occurred_at DESC, id DESC LIMIT {NEWEST}
        ) AS newest
    """  # noqa: S608
    sql = f"""
        SELECT DISTINCT value FROM ({" UNION ALL ".join([part] * len(contexts))}) AS found
        ORDER BY value LIMIT %s
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*contexts, limit or MAX_CHOICES])
        return [value for (value,) in cursor.fetchall()]
