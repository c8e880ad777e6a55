"""Batches of made-up deliveries spread over processes, each with a database of its own."""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from tests.fuzz.webhook import Batch, Tally

NAME = "superoffice_hooks_fuzz"
# How safe a commit is on disk is no question here, and costs the most.
HASTY = {
    "sqlite": "PRAGMA synchronous = OFF",
    "postgresql": "SET synchronous_commit = off",
    "mysql": "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'",
}


@contextmanager
def scratch_databases(count: int) -> Iterator[list[str]]:
    """Make databases of our own, as Django's tests do, and remove them; gives their names."""
    from django.db import connection

    before, made = connection.settings_dict["NAME"], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(count):
                name = f"{NAME}_{number}"
                if connection.vendor == "sqlite":
                    name = str(Path(folder) / f"{name}.sqlite3")
                connection.settings_dict["TEST"]["NAME"] = name
                connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
                made.append(name)
                connection.close()
                connection.settings_dict["NAME"] = before
            yield made
        finally:
            for name in made:
                connection.settings_dict["NAME"] = name
                connection.creation.destroy_test_db(before, verbosity=0)


def open_database(names: "SimpleQueue[str]") -> None:
    """Take one of the databases for this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"] = names.get()
    with connection.cursor() as cursor:
        cursor.execute(HASTY[connection.vendor])


def work(batch: "Batch") -> "Tally":
    """Post one batch from this process."""
    from tests.fuzz.webhook import run

    return run(batch)


def fuzz(batches: "list[Batch]", processes: int) -> "Tally":
    """Post all the batches, until one fails; return their counts."""
    from tests.fuzz.webhook import Tally

    context = get_context("spawn")
    total, started, done = Tally(), time.monotonic(), 0
    with scratch_databases(processes) as databases:
        names: SimpleQueue[str] = context.SimpleQueue()
        for name in databases:
            names.put(name)
        with ProcessPoolExecutor(processes, context, open_database, (names,)) as pool:
            for batch, tally in zip(batches, pool.map(work, batches), strict=True):
                total.add(tally)
                done += batch.size
                if done % 100_000 < batch.size:
                    rate = done / (time.monotonic() - started)
                    print(f"{done:,} deliveries, {rate:,.0f} a second", flush=True)
                if total.failure:
                    pool.shutdown(cancel_futures=True)
                    break
    return total
