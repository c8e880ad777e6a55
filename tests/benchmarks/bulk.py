"""How fast what waits is stored, and what is stored rebuilt, beside the database's own ceiling.

Each is done by a process of its own, whose memory is told. The ceiling is what the database needs
for the same rows in the same tables when nobody has to make them: ``COPY`` in one transaction on
PostgreSQL, ``executemany`` elsewhere.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.bodies import Bodies
from tests.benchmarks.processes import Cost, apart
from tests.benchmarks.site import analyze, empty, own_models


@dataclass(frozen=True, slots=True)
class Result:
    """What one of them did: ``rows`` are the events that the database holds afterwards."""

    name: str
    seconds: float
    rows: int
    cost: Cost | None = None


def measure(events: int, bodies: Bodies, folder: Path) -> list[Result]:
    """Drain a spool of so many files, rebuild what that brought, and copy its rows."""
    from django.conf import settings
    from django.test import override_settings

    from superoffice_hooks.models import Event

    hooks = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": folder / "waiting"}
    with override_settings(SUPEROFFICE_HOOKS=hooks):
        empty(own_models())
        spool(events, bodies, folder / "waiting")
        cost = apart(drain)
        results = [Result("superoffice_drain", cost.seconds, Event.objects.count(), cost)]
        analyze()
        cost = apart(rebuild)
        results.append(
            Result("superoffice_reprocess --rebuild", cost.seconds, Event.objects.count(), cost)
        )
    return [*results, *copied()]


def spool(events: int, bodies: Bodies, folder: Path) -> None:
    """Let so many deliveries wait in a folder, as during an outage."""
    from django.utils import timezone

    from superoffice_hooks.conf import DEFAULT_ENDPOINT, conf
    from superoffice_hooks.intake.arrival import Arrival
    from superoffice_hooks.intake.spool import Spool
    from superoffice_hooks.wire.signature import key_id

    endpoint = conf.endpoint(DEFAULT_ENDPOINT)
    assert endpoint is not None
    [secret, *_] = endpoint.secrets
    kept = Spool(folder)
    for body in bodies.first(events):
        headers = body.headers(secret)
        signature = headers.pop("X-SuperOffice-Signature")
        kept.keep(
            Arrival(
                endpoint=endpoint.name,
                received_at=timezone.now(),
                body=body.raw,
                headers=headers,
                remote_address="127.0.0.1",
                signature=signature,
                key_id=key_id(secret),
            )
        )


def drain() -> None:
    """Store what waits."""
    from django.core.management import call_command

    call_command("superoffice_drain", verbosity=0)


def rebuild() -> None:
    """Derive every event again from its delivery, and write what differs."""
    from django.core.management import call_command

    call_command("superoffice_reprocess", rebuild=[], verbosity=0)


def copied() -> list[Result]:
    """Take every row out and put it back in one transaction, and return how long that took."""
    from django.db import connection

    from superoffice_hooks.models import Event

    put_back, name = (
        (_copied, "COPY") if connection.vendor == "postgresql" else (_inserted, "executemany")
    )
    seconds = put_back([model._meta.db_table for model in own_models()])
    return [Result(name, seconds, Event.objects.count())]


def _copied(tables: Sequence[str]) -> float:
    from django.db import connection, transaction

    contents = {table: BytesIO() for table in tables}
    with connection.cursor() as cursor:
        for table, content in contents.items():
            with cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                for part in copy:
                    content.write(part)
    empty(own_models())
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table, content in contents.items():
            content.seek(0)
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                while part := content.read(1024 * 1024):
                    copy.write(part)
    return time.perf_counter() - began


def _inserted(tables: Sequence[str]) -> float:
    from django.db import connection, transaction

    contents: dict[str, list[Any]] = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT * FROM {table}")
            contents[table] = cursor.fetchall()
    empty(own_models())
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table, rows in contents.items():
            if rows:
                marks = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    return time.perf_counter() - began


def shown(events: int, results: Sequence[Result]) -> str:
    """Return the table."""
    ceiling = events / results[-1].seconds
    rows = [
        (
            result.name,
            f"{events / result.seconds:,.0f}",
            report.ratio(events / result.seconds, ceiling),
            f"{result.cost.idle / report.MIB:.0f}" if result.cost else "-",
            f"{result.cost.peak / report.MIB:.0f}" if result.cost else "-",
            "yes" if result.rows == events else f"NO, {result.rows:,}",
        )
        for result in results
    ]
    return report.table(
        f"bulk: {events:,} events",
        ("what", "events/s", "to the ceiling", "idle MiB", "peak MiB", "all there"),
        rows,
    )
