"""What an event takes on disk, by table and index, beside the bytes of its body."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from tests.benchmarks import report
from tests.benchmarks.bodies import Bodies
from tests.benchmarks.site import empty, own_models, write

SIZES = """
    SELECT relation.relname, 'table', pg_relation_size(relation.oid)
    FROM pg_class AS relation WHERE relation.oid = %s::regclass
    UNION ALL
    SELECT relation.relname, 'TOAST', pg_total_relation_size(relation.reltoastrelid)
    FROM pg_class AS relation WHERE relation.oid = %s::regclass AND relation.reltoastrelid <> 0
    UNION ALL
    SELECT own.relname, 'index', pg_relation_size(own.oid)
    FROM pg_index JOIN pg_class AS own ON own.oid = pg_index.indexrelid
    WHERE pg_index.indrelid = %s::regclass
"""


@dataclass(frozen=True, slots=True)
class Space:
    """How much is used: ``parts`` are the name, the kind and the bytes of each."""

    events: int
    body: float  # bytes of a body, on average
    parts: tuple[tuple[str, str, int], ...]

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(size for _, _, size in self.parts)


def measure(events: int, bodies: Bodies) -> Space:
    """Store so many events by the app's own way in, and look at the disk."""
    empty(own_models())
    given = list(bodies.first(events))
    stored = write(given)
    return Space(stored, mean(len(body.raw) for body in given), tuple(parts()))


def parts() -> list[tuple[str, str, int]]:
    """Return the tables and indexes of the app; of SQLite all that its file holds."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            found = []
            for model in own_models():
                name = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(SIZES, [name] * 3)
                found += sorted(cursor.fetchall(), key=lambda part: -part[2])
            return found
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
            return [("all tables and indexes", "file", cursor.fetchone()[0])]
    return []


def shown(space: Space) -> str:
    """Return the table, the largest first."""

    def row(name: str, kind: str, size: int) -> Sequence[str]:
        each = size / max(1, space.events)
        return name, kind, f"{each:,.0f}", report.ratio(each, space.body)

    kinds = dict.fromkeys((kind for _, kind, _ in space.parts), 0)
    for _, kind, size in space.parts:
        kinds[kind] += size
    rows = [row(*part) for part in sorted(space.parts, key=lambda part: -part[2])]
    rows += [row(f"all of kind {kind}", kind, size) for kind, size in kinds.items()]
    return report.table(
        f"space: {space.events:,} events, bodies of {space.body:,.0f} bytes on average",
        ("what", "kind", "bytes/event", "to the body"),
        [*rows, row("all", "", space.total)],
    )
