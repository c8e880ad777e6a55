"""The database of a run, and what writes to it and empties it."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import django
from django.db.models import Model

from tests.benchmarks.bodies import Body

SUFFIX = "_benchmark"
SETTINGS = "tests.benchmarks.peers.settings"


@contextmanager
def scratch(part: str, url: str, folder: Path, *, keep: bool = False) -> Iterator[dict[str, str]]:
    """Make a database beside that of ``url``, and yield the environment of processes that use it.

    It is named after that one and the part, and removed at the end, unless it is to be kept; then
    it is also taken as it is where it is there already. Without ``url`` it is an SQLite file in
    ``folder``.
    """
    os.environ["DATABASE_URL"] = url or f"sqlite:///{folder / 'benchmark.sqlite3'}"
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    spool = folder / "spool"
    os.environ["SPOOL_DIR"] = str(spool)
    django.setup()
    from django.db import connection

    original = str(connection.settings_dict["NAME"])
    stem = original.removesuffix(".sqlite3")
    name = f"{stem}{SUFFIX}_{part}" + (".sqlite3" if stem != original else "")
    connection.settings_dict["TEST"]["NAME"] = name
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False, keepdb=keep)
    own = urlsplit(os.environ["DATABASE_URL"])
    path = f"{own.path.rpartition('/')[0]}/{name.rpartition('/')[2]}"
    environment = {
        "DATABASE_URL": urlunsplit(own._replace(path=path)),
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "SPOOL_DIR": str(spool),
    }
    if own.scheme == "sqlite":
        environment["DATABASE_URL"] = f"sqlite:///{name}"
    os.environ |= environment
    try:
        yield environment
    finally:
        connection.creation.destroy_test_db(original, verbosity=0, keepdb=keep)


def own_models() -> list[type[Model]]:
    """Return the models of the app, ``Event`` first: the others belong to one."""
    from django.apps import apps

    from superoffice_hooks.models import Event

    found = apps.get_app_config("superoffice_hooks").get_models()
    return sorted(found, key=lambda model: model is not Event)


def empty(models: Iterable[type[Model]]) -> None:
    """Remove all rows of these models and of those that refer to them."""
    from django.core.management.color import no_style
    from django.db import connection

    tables = [model._meta.db_table for model in models]
    if tables:
        sql = connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
        connection.ops.execute_sql_flush(sql)


def analyze() -> None:
    """Let the database look at what the tables hold, and write what it has not written yet.

    So no plan is one for empty tables, and no run pays for the one before it.
    """
    from django.db import DatabaseError, connection

    if connection.vendor not in ("postgresql", "sqlite"):
        return
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            with suppress(DatabaseError):  # not every account may
                cursor.execute("CHECKPOINT")


def write(bodies: Iterable[Body], threads: int = 8) -> int:
    """Store deliveries by the app's own way in, and return how many were stored as new events.

    On a busy machine as well: nothing is spooled instead.
    """
    from django.conf import settings
    from django.test import override_settings

    given = list(bodies)
    hooks = {**settings.SUPEROFFICE_HOOKS, "SPOOL_DIR": None}
    with override_settings(SUPEROFFICE_HOOKS=hooks), ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(_write, (given[first::threads] for first in range(threads))))


def _write(bodies: list[Body]) -> int:
    from django.db import connections
    from django.http.request import HttpHeaders

    from superoffice_hooks.conf import DEFAULT_ENDPOINT, conf
    from superoffice_hooks.intake.ingest import ingest

    endpoint = conf.endpoint(DEFAULT_ENDPOINT)
    assert endpoint is not None
    recorded = 0
    try:
        for body in bodies:
            named = body.headers(endpoint.secrets[0])
            environ = {f"HTTP_{name.upper().replace('-', '_')}": named[name] for name in named}
            delivery = ingest(endpoint, body.raw, HttpHeaders(environ), "127.0.0.1")
            recorded += delivery is not None and delivery.outcome == delivery.Outcome.RECORDED
    finally:
        connections.close_all()
    return recorded
