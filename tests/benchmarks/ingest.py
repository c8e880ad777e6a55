"""How many deliveries a second, over HTTP, beside other ways to take the same ones.

Every round plays every system once with each number of threads, in another order, with fresh
processes and empty tables; the figures are medians over the rounds. After each run the stored
rows are compared with the answers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from django.db.models import Model

from tests.benchmarks import report
from tests.benchmarks.bodies import Bodies, Body
from tests.benchmarks.client import Run, drive, request
from tests.benchmarks.processes import HAS_PROC, PLAIN, SHORT, Server, cpu_seconds, spent
from tests.benchmarks.site import analyze, empty

WARM_UP = 1.0  # seconds
WARM_UP_REQUESTS = 6_000
PATIENCE = 30.0  # seconds for what was spooled
SPARE = 1.5  # requests that are made, as a multiple of what the warm-up promises

Made = tuple[bytes, dict[str, str]]


@dataclass(frozen=True, slots=True)
class System:
    """One way to take deliveries: where they are posted, and into what they are stored.

    ``models`` are emptied before a run; a delivery becomes one row of the first of them.
    ``application`` is what gunicorn loads.
    """

    name: str
    path: str
    models: tuple[type[Model], ...] = ()
    made: Callable[[int, Body], Made] | None = None
    application: str = PLAIN

    def requests(self, bodies: Bodies, start: int, count: int) -> list[bytes]:
        """Return so many signed requests, from this number on."""
        from django.conf import settings

        secret: str = settings.SUPEROFFICE_HOOKS["SECRETS"][0]
        made = []
        for number, body in enumerate(bodies.first(count, start), start):
            raw, headers = body.raw, body.headers(secret)
            if self.made is not None:
                raw, headers = self.made(number, body)
            made.append(request(self.path, raw, headers))
        return made

    def stored(self) -> int:
        """Return how many deliveries its tables hold."""
        return self.models[0]._default_manager.count() if self.models else 0


@dataclass(frozen=True, slots=True)
class Result:
    """One run: ``stored`` is ``None`` for a system that stores nothing.

    The CPU seconds are of one delivery; ``None`` where nobody tells them. ``spooled`` of those
    that are stored came by the spool.
    """

    system: str
    threads: int
    run: Run
    stored: int | None
    spooled: int
    app_cpu: float | None
    database_cpu: float | None

    @property
    def is_kept(self) -> bool:
        """Whether as many rows are stored as deliveries were answered 200."""
        return self.stored in (None, self.run.answers[200])


def systems(only: Sequence[str] = ()) -> list[System]:
    """Return the systems, those that are not installed left out."""
    from django.conf import settings
    from django.urls import reverse

    from superoffice_hooks.models import Event
    from tests.benchmarks.peers import models, stripe
    from tests.benchmarks.site import own_models

    webhook, own = reverse("superoffice_hooks:webhook"), tuple(own_models())
    assert own[0] is Event
    rows = (models.PeerEvent, models.PeerChangedField, models.PeerFieldValue)
    found = [
        System("floor", "/floor/"),
        System("blob", "/blob/", (models.Blob,)),
        System("orm", "/orm/", rows),
        System("bulk", "/bulk/", rows),
        System("superoffice_hooks", webhook, own),
        System("webhook_first", webhook, own, application=SHORT),
    ]
    if settings.HAS_AUDITLOG:
        from auditlog.models import LogEntry

        found.append(System("auditlog", "/auditlog/", (LogEntry, models.AuditedBlob)))
    if settings.HAS_DJSTRIPE:
        from djstripe.models import Event as StripeEvent
        from djstripe.models import WebhookEventTrigger

        stripe.prepare()
        theirs = (StripeEvent, WebhookEventTrigger)
        found.append(
            System("dj-stripe", stripe.PATH, theirs, lambda n, body: stripe.wrapped(n, body.raw))
        )
    return [system for system in found if not only or system.name in only]


@dataclass(frozen=True, slots=True)
class Load:
    """How it is measured."""

    seconds: float = 4.0
    rounds: int = 3
    seed: int = 0
    threads: tuple[int, ...] = (4, 16)
    connections: int = 32
    workers: int = 2
    templates: int = 0
    deliveries: int = 0  # of each run, in place of ``seconds``; then without a warm-up


def measure(
    chosen: Sequence[System], load: Load, environment: dict[str, str], folder: Path
) -> list[Result]:
    """Play every round, and return every run."""
    results = []
    shuffled = Random(load.seed)
    for number in range(load.rounds):
        order = [(system, threads) for system in chosen for threads in load.threads]
        if number:
            shuffled.shuffle(order)
        for system, threads in order:
            log = folder / f"{system.name}.log"
            with Server(
                environment,
                log,
                workers=load.workers,
                threads=threads,
                application=system.application,
            ) as server:
                results.append(_play(system, server, load, load.seed + number))
    return results


def _play(system: System, server: Server, load: Load, seed: int) -> Result:
    """Warm one system up on empty tables, and measure it."""
    empty(system.models)
    bodies = Bodies(seed, templates=load.templates)
    count, seconds, start = load.deliveries, 3600.0, 0
    if not count:
        warm = system.requests(bodies, 0, WARM_UP_REQUESTS)
        seconds, start = load.seconds, len(warm)
        count = 500 + int(
            SPARE * seconds * drive(server.ports, warm, load.connections, WARM_UP).rate
        )
        _settle()
    analyze()
    requests = system.requests(bodies, start, count)
    before, stored = _cpu(server), system.stored()
    run = drive(server.ports, requests, load.connections, seconds)
    _settle()
    app, database = _spent(before, _cpu(server))
    return Result(
        system.name,
        server.threads,
        run,
        system.stored() - stored if system.models else None,
        _spooled(),
        app and app / run.count,
        database and database / run.count,
    )


def _settle() -> None:
    """Store what the app has spooled, so that its rows can be counted."""
    from superoffice_hooks.conf import conf
    from superoffice_hooks.intake.drain import drain
    from superoffice_hooks.intake.spool import Spool

    if conf.spool_dir is None:
        return
    spool, until = Spool(conf.spool_dir), time.monotonic() + PATIENCE
    while not spool.is_empty() and time.monotonic() < until:
        drain(spool)  # and the server itself may be at it
        time.sleep(0.05)


def _spooled() -> int:
    from superoffice_hooks.models import Delivery

    return Delivery.objects.filter(reason__startswith="Spooled").count()


Cpu = tuple[dict[int, float], dict[int, float]]


def _cpu(server: Server) -> Cpu:
    """Return the CPU seconds of the server's processes, and of those of its database."""
    return cpu_seconds(server.pids), cpu_seconds(_backends())


def _spent(before: Cpu, after: Cpu) -> tuple[float | None, float | None]:
    app, database = (spent(*looks) for looks in zip(before, after, strict=True))
    return app if HAS_PROC else None, database if after[1] else None


def _backends() -> list[int]:
    """Return the processes of PostgreSQL that serve this database, where they run here.

    Those that write for all databases, as the checkpointer does, are not among them.
    """
    from django.db import connection

    is_local = connection.settings_dict["HOST"] in ("", "localhost", "127.0.0.1", "::1")
    if connection.vendor != "postgresql" or not is_local:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


HEADING = (
    *("system", "threads", "deliveries/s", "(min-max)", "to blob", "p50 ms", "p99 ms"),
    *("app CPU us", "database CPU us", "not 200", "rows = 200s"),
)


def shown(title: str, results: Sequence[Result], base: str = "blob") -> str:
    """Return the table of the medians, and below it what went wrong."""
    rows, troubles = [], []
    by_kind: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        by_kind.setdefault((result.system, result.threads), []).append(result)
    for (system, threads), several in sorted(by_kind.items(), key=lambda item: item[0][1]):
        rates = [result.run.rate for result in several]
        bases = [result.run.rate for result in by_kind.get((base, threads), [])]
        refused = sum(result.run.count - result.run.answers[200] for result in several)
        spooled = sum(result.spooled for result in several)
        kept = "yes" if all(result.is_kept for result in several) else "NO"
        rows.append(
            (
                *(system, threads, f"{median(rates):,.0f}"),
                f"({min(rates):,.0f}-{max(rates):,.0f})",
                report.ratio(median(rates), median(bases) if bases else None),
                report.milliseconds(median(result.run.slower_than(0.5) for result in several)),
                report.milliseconds(median(result.run.slower_than(0.99) for result in several)),
                report.microseconds(_median(result.app_cpu for result in several)),
                report.microseconds(_median(result.database_cpu for result in several)),
                refused,
                "-" if several[0].stored is None else kept,
            )
        )
        name = f"{system}, {threads} threads"
        if spooled:
            troubles.append(f"{name}: {spooled} of the rows came by the spool")
        told = sorted({said for result in several for said in result.run.said})
        troubles += [f"{name}, answered: {said}" for said in told[:3]]
    return "\n".join(
        [report.table(title, [*HEADING[:4], f"to {base}", *HEADING[5:]], rows), *troubles]
    )


def _median(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def figures(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the runs as they are written to a file."""
    return [
        {
            "system": result.system,
            "threads": result.threads,
            "rate": result.run.rate,
            "p50": result.run.slower_than(0.5),
            "p99": result.run.slower_than(0.99),
            "answers": {str(status): count for status, count in result.run.answers.items()},
            "stored": result.stored,
            "spooled": result.spooled,
            "app_cpu": result.app_cpu,
            "database_cpu": result.database_cpu,
        }
        for result in results
    ]
