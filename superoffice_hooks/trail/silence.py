"""Which tenants have sent nothing for longer than is usual for them.

What is usual is the longest silence of a tenant of late. Of a tenant with few events it is taken
from the last 200. Of a busy one those would be the last minutes, in which no night falls: there
the last 14 days are looked at from hour to hour. The present silence is remarkable when it lasts
more than twice as long. So nights, weekends and the holidays of the last weeks are usual, and a
tenant that rests at weekends is missed after a few days only.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from django.db import connections, router
from django.utils import timezone

from superoffice_hooks.models import Event
from superoffice_hooks.trail.facets import newest

FACTOR: Final = 2
SHORTEST: Final = timedelta(hours=1)  # no shorter silence is taken for usual
WEEK: Final = timedelta(days=7)
WEEKEND: Final = timedelta(days=3)  # what is usual until a weekend has been seen
ENOUGH: Final = 20  # events; of fewer nothing is concluded
NEWEST: Final = 200
LOOKED_AT: Final = timedelta(days=14)
STEP: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Silence:
    """A tenant has sent nothing since ``last``; silences of up to ``usual`` count as usual."""

    context_identifier: str
    last: datetime
    usual: timedelta

    def __str__(self) -> str:
        last = self.last.astimezone(UTC)
        return (
            f"Tenant {self.context_identifier!r} has sent nothing since {last:%Y-%m-%d %H:%M} UTC; "
            f"silences of up to {_rounded(self.usual)} count as usual."
        )


def silences(now: datetime | None = None) -> list[Silence]:
    """Return the tenants that have been silent for unusually long, the longest silent first.

    One query for all of at most 1,000 tenants, and two for each that sent nothing in two hours,
    whatever the number of events.
    """
    now = now or timezone.now()
    found = []
    for event in newest().only("context_identifier", "occurred_at"):
        if timedelta() <= now - event.occurred_at <= FACTOR * SHORTEST:
            continue
        moments = _newest(event.context_identifier, now)
        if len(moments) < ENOUGH:
            continue
        usual = _usual(event.context_identifier, moments)
        if now - moments[0] > FACTOR * usual:
            found.append(Silence(event.context_identifier, moments[0], usual))
    return sorted(found, key=lambda silence: silence.last)


def _usual(context_identifier: str, moments: list[datetime]) -> timedelta:
    """Return the longest silence of late; ``moments`` are those of the newest events."""
    first, last = moments[-1], moments[0]
    if len(moments) == NEWEST and last - first < LOOKED_AT:
        silences = _hourly(context_identifier, last)
        first = min(hour - silence for hour, silence in silences.items())
        longest = max(silences.values())
    else:
        longest = max(later - earlier for later, earlier in pairwise(moments))
    return max(longest, SHORTEST if last - first >= WEEK else WEEKEND)


def _newest(context_identifier: str, until: datetime) -> list[datetime]:
    """Return when the tenant's newest 200 events happened, the newest first."""
    connection = connections[router.db_for_read(Event)]
    sql, parameters = _before(connection, context_identifier, until, NEWEST)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return _moments(connection, [value for (value,) in cursor.fetchall()])


def _hourly(context_identifier: str, until: datetime) -> dict[datetime, timedelta]:
    """Return how long the tenant had been silent at each hour of the 14 days, by the hour.

    Each is one step in the index. A silence between two events is by up to an hour longer.
    """
    connection = connections[router.db_for_read(Event)]
    hours = [until - number * STEP for number in range(LOOKED_AT // STEP + 1)]
    parts, parameters = [], []
    for hour in hours:
        sql, more = _before(connection, context_identifier, hour, 1)
        parts.append(f"({sql})")
        parameters += more
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", parameters)
        row = cursor.fetchone()
    told = [(hour, value) for hour, value in zip(hours, row, strict=True) if value is not None]
    moments = _moments(connection, [value for _, value in told])
    return {hour: hour - moment for (hour, _), moment in zip(told, moments, strict=True)}


def _before(
    connection: Any, context_identifier: str, until: datetime, limit: int
) -> tuple[str, list[Any]]:
    """Return the query, and its parameters, for a tenant's newest events up to a moment.

    Each database is kept to the index of tenants: along that of the time alone it would walk
    through what all others have sent since a silent tenant fell silent.
    """
    quote = connection.ops.quote_name
    table, tenant = quote(Event._meta.db_table), quote("context_identifier")
    parameters = [context_identifier, connection.ops.adapt_datetimefield_value(until)]
    if connection.vendor == "postgresql":
        # With "=" the tenant would be no part of the order.
        table = f"{table} WHERE ({tenant}, occurred_at) <= (%s, %s) AND {tenant} >= %s"
        parameters.append(context_identifier)
    else:
        hint = "FORCE INDEX (so_event_ctx)" if connection.vendor == "mysql" else ""
        table = f"{table} {hint} WHERE {tenant} = %s AND occurred_at <= %s"
    order = f"{tenant} DESC, occurred_at DESC, id DESC"
    # Names come from the model's own metadata; values are parameters.
    return f"SELECT occurred_at FROM {table} ORDER BY {order} LIMIT {limit}", parameters  # noqa: S608


def _moments(connection: Any, values: list[Any]) -> list[datetime]:
    """Return what the driver gave as moments in UTC."""
    field = Event._meta.get_field("occurred_at")
    column: Any = field.get_col(Event._meta.db_table)
    converters = connection.ops.get_db_converters(column)
    moments = []
    for value in values:
        for convert in converters:
            value = convert(value, column, connection)
        moments.append(value)
    return moments


def _rounded(duration: timedelta) -> str:
    hours = round(duration / timedelta(hours=1))
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
