"""A trail of any size in minutes: some thousand real events, copied by the database itself.

The base is stored by the app's own way in. Each copy of it is a later stretch of time: its rows
have ids, GUIDs, record numbers and moments of their own, and every other column, whichever there
are, is copied. So rows lie in the tables as they would have come, and a trail of any number of
events has two years.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import (
    AutoField,
    DateTimeField,
    Field,
    ForeignKey,
    Model,
    UUIDField,
)

from tests.benchmarks.bodies import BUSY, NUMBERS, Bodies
from tests.benchmarks.site import empty, own_models, write

BASE = 20_000  # events that are stored by the app, at most
SPAN = timedelta(days=730)
AT_ONCE = 500_000  # events that one statement copies, about
ARRIVED = timedelta(seconds=2)  # after the event


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database says it: numbers of the copies, a later moment, and another GUID."""

    series: str
    later: str
    guid: str


DIALECTS = {
    "postgresql": Dialect(
        series="generate_series({first}, {last}) AS copy(n)",
        later="{column} + n * interval '{seconds} seconds'",
        guid="overlay({column}::text placing lpad(to_hex(n), 8, '0') from 1)::uuid",
    ),
    "sqlite": Dialect(
        series="(WITH RECURSIVE copy(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM copy "
        "WHERE n < {last}) SELECT n FROM copy) AS copy",
        later="strftime('%%Y-%%m-%%d %%H:%%M:%%S', {column}, (n * {seconds}) || ' seconds') "
        "|| substr({column}, 20)",
        guid="printf('%%08x', n) || substr({column}, 9)",
    ),
}


class MissingDialectError(RuntimeError):
    """The rows of this database cannot be copied here."""


def fill(events: int, seed: int = 0, tell: Callable[[str], None] = lambda text: None) -> int:
    """Empty the trail and store about so many events, up to today; return how many there are.

    There are no more than asked for, and all copies are equally large.
    """
    from django.db import connection
    from django.utils import timezone

    from superoffice_hooks.models import Event

    if connection.vendor not in DIALECTS:
        raise MissingDialectError(f"Filling is for {' and '.join(DIALECTS)}.")
    copies, base = _planned(events)
    step = timedelta(seconds=max(1, SPAN // timedelta(seconds=1) // copies // base))
    stretch = step * base
    empty(own_models())
    tell(f"{base:,} events by the app")
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    stored = write(Bodies(seed, begin=today - stretch * copies, step=step).first(base))
    if stored != base:
        raise RuntimeError(f"Of {base} events, {stored} were stored.")
    _arrive_in_time()
    stride = max(_highest(model) for model in own_models()) + 1
    with without_indexes(tell):
        each = max(1, AT_ONCE // base)
        for first in range(1, copies, each):
            last = min(first + each, copies) - 1
            tell(f"copies {first}-{last} of {copies - 1}")
            for model in _of_events():
                _copy(model, range(first, last + 1), stride, stretch)
    _set_sequences()
    tell("vacuum and analyze")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return Event.objects.count()


def is_filled(events: int) -> bool:
    """Whether the trail holds what filling it with so many events makes of it, and its indexes."""
    from django.db import connection

    from superoffice_hooks.models import Event

    copies, base = _planned(events)
    with connection.cursor() as cursor:
        for model in own_models():
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
            if not {index.name for index in model._meta.indexes} <= found.keys():
                return False
    return Event.objects.count() == copies * base


def _planned(events: int) -> tuple[int, int]:
    """Return how many equal parts there are, the base among them, and how large each is."""
    copies = -(-events // BASE)
    return copies, events // copies


def _arrive_in_time() -> None:
    """Let what the app has just stored have arrived when it happened."""
    from django.db.models import F, OuterRef, Subquery

    from superoffice_hooks.models import Delivery, Event

    Event.objects.update(received_at=F("occurred_at") + ARRIVED)
    arrived = Event.objects.filter(pk=OuterRef("event_id")).values("received_at")
    Delivery.objects.exclude(event=None).update(received_at=Subquery(arrived))


def _highest(model: type[Model]) -> int:
    """Return the highest id that the database has given to a row of this model."""
    key = model._meta.pk
    if not isinstance(key, AutoField):
        return 0
    return model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or 0


def _copy(model: type[Model], copies: range, stride: int, stretch: timedelta) -> None:
    """Copy the base of one table so many times."""
    from django.db import connection

    quote, dialect = connection.ops.quote_name, DIALECTS[connection.vendor]
    made = {
        quote(field.column): _copied(field, f"base.{quote(field.column)}", dialect, stride, stretch)
        for field in model._meta.concrete_fields
        if field.column and not field.generated
    }
    shifted = [field.column for field in model._meta.concrete_fields if _is_shifted(field)]
    key = quote(shifted[0] or "")
    table = quote(model._meta.db_table)
    series = dialect.series.format(first=copies[0], last=copies[-1])
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(made)}) "
            f"SELECT {', '.join(made.values())} FROM {series}, {table} AS base "
            f"WHERE base.{key} < %s ORDER BY n, base.{key}",
            [stride],
        )


def _copied(
    field: "Field[Any, Any]", column: str, dialect: Dialect, stride: int, stretch: timedelta
) -> str:
    """Return what a column of the copy ``n`` holds."""
    if _is_shifted(field):
        return f"{column} + n * {stride}"
    if isinstance(field, DateTimeField):
        seconds = stretch // timedelta(seconds=1)
        return dialect.later.format(column=column, seconds=seconds)
    if isinstance(field, UUIDField):
        return dialect.guid.format(column=column)
    if field.name == "primary_key":
        return f"CASE {column} WHEN {BUSY} THEN {BUSY} ELSE {column} + n * {NUMBERS} END"
    return column


def _is_shifted(field: "Field[Any, Any]") -> bool:
    """Whether the column holds the row's own id, or that of an event."""
    return isinstance(field, AutoField) or _is_event(field)


def _is_event(field: "Field[Any, Any]") -> bool:
    from superoffice_hooks.models import Event

    return isinstance(field, ForeignKey) and field.related_model is Event


def _of_events() -> list[type[Model]]:
    """Return the models of events and of what belongs to one: only these tables grow."""
    from superoffice_hooks.models import Event

    return [
        model
        for model in own_models()
        if model is Event or any(map(_is_event, model._meta.concrete_fields))
    ]


@contextmanager
def without_indexes(tell: Callable[[str], None]) -> Iterator[None]:
    """Take the secondary indexes away, and make them again at the end: sorted, and at once."""
    from django.db import connection

    def each(do: str) -> None:
        for model in own_models():
            with connection.schema_editor() as editor:
                for index in model._meta.indexes:
                    getattr(editor, f"{do}_index")(model, index)
                # SQLite would copy the table for each.
                for constraint in model._meta.constraints if connection.vendor != "sqlite" else ():
                    getattr(editor, f"{do}_constraint")(model, constraint)

    each("remove")
    try:
        yield
    finally:
        tell("indexes")
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET maintenance_work_mem = '1GB'")
        each("add")


def _set_sequences() -> None:
    """Let the next row come after the copies."""
    from django.core.management.color import no_style
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), own_models()):
            cursor.execute(statement)
