"""What an export of a large trail costs in time and memory, and that it loses nothing.

Run it as ``python -m tests.benchmarks.export --events 1000000``. It makes a database of its own
on the server that ``DATABASE_URL`` names, and removes it. Each format is exported by a process of
its own; then the NDJSON is imported into the emptied tables, and compared with what was there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import django

NAME = "superoffice_hooks_benchmark_export"
MIB = 1024 * 1024
CHUNK = 5_000  # lines that are imported at once

# Numbers from 0, and a moment so many minutes later: databases agree on neither.
SERIES = {
    "postgresql": "generate_series(0, {last}) AS copy(n)",
    "mysql": "seq_0_to_{last} AS copy",
    "sqlite": """(WITH RECURSIVE copy(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM copy
                  WHERE n < {last}) SELECT n FROM copy) AS copy""",
}
# The same GUID with the number in its first digits.
GUID = {
    "postgresql": "overlay({column}::text placing lpad(to_hex(n), 8, '0') from 1)::uuid",
    "mysql": "INSERT({column}, 1, 8, LPAD(LOWER(HEX(seq)), 8, '0'))",
    "sqlite": "printf('%08x', n) || substr({column}, 9)",
}
LATER = {
    "postgresql": "{column} + n * interval '1 minute'",
    "mysql": "{column} + INTERVAL seq MINUTE",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', {column}, n || ' minutes') || substr({column}, 20)",
}


def fill(count: int) -> None:
    """Store so many events: copies of the events of SuperOffice's own pages, minutes apart."""
    from django.db import connection

    from superoffice_hooks.models import ChangedField, DeletedValue, Event, RelatedRecord
    from tests.builders import post
    from tests.payloads import PAYLOADS

    for wire in PAYLOADS:
        post(wire)
    first, originals = Event.objects.earliest("id").pk, Event.objects.count()
    quote, vendor = connection.ops.quote_name, connection.vendor
    number = "seq" if vendor == "mysql" else "n"
    series = SERIES[vendor].format(last=-(-count // originals) - 1)
    with connection.cursor() as cursor:
        for model in (ChangedField, DeletedValue, RelatedRecord, Event):
            key = "id" if model is Event else "event_id"
            made = {}
            for field in model._meta.concrete_fields:
                column = f"original.{quote(field.column)}"
                if field.column == key or field.column == "twin_of_id":
                    column = f"{column} + {number} * {originals}"
                elif field.column in ("event_id", "fingerprint"):
                    column = GUID[vendor].format(column=column)
                elif field.column == "occurred_at":
                    column = LATER[vendor].format(column=column)
                made[field.column] = column
            table = quote(model._meta.db_table)
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(map(quote, made))}) "
                f"SELECT {', '.join(made.values())} FROM {table} AS original, {series} "
                f"WHERE original.{key} < {first + originals} AND {number} > 0 "
                f"AND {made[key]} < {first + count}"
            )
            cursor.execute(f"ANALYZE {'TABLE ' if vendor == 'mysql' else ''}{table}")


def export(name: str, path: Path) -> dict[str, Any]:
    """Export everything to a file, and return what it cost."""
    from django.contrib.auth import get_user_model

    from superoffice_hooks.models import Event
    from superoffice_hooks.trail.export import Export
    from superoffice_hooks.trail.follow import settled
    from superoffice_hooks.trail.formats import FORMATS
    from superoffice_hooks.trail.selection import Selection

    def made(rows: Any) -> Export:
        user = get_user_model()(username="benchmark")
        return Export(Selection(rows, settled(), user, {}), FORMATS[name])

    everything = Event.objects.order_by("-occurred_at", "-id")
    for _ in made(everything.filter(pk=everything[0].pk)):
        pass  # idle is a process that has answered before
    idle = memory("VmRSS")
    began, exported = time.perf_counter(), made(everything)
    with path.open("wb") as file:
        for part in exported:
            file.write(part)
    [tally] = exported.contents.tallies.values()
    return {
        "seconds": time.perf_counter() - began,
        "events": exported.contents.count,
        "bytes": tally.size,
        "sha256": tally.digest.hexdigest(),
        "idle": idle,
        "peak": memory("VmHWM"),
    }


def memory(what: str) -> int:
    """Return a figure of Linux about this process, in bytes."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)
    ]
    return int(line.split()[1]) * 1024


def restore(path: Path) -> None:
    """Import an NDJSON export."""
    from tests.trail.exports import restore

    with path.open("rb") as lines:
        while chunk := list(islice(lines, CHUNK)):
            restore(chunk)


def digests() -> dict[str, tuple[int, str]]:
    """Return how many rows there are of each table, and the SHA-256 of all of them."""
    from superoffice_hooks.models import ChangedField, DeletedValue, Event, RelatedRecord

    found = {}
    for model in (Event, ChangedField, DeletedValue, RelatedRecord):
        digest, count = sha256(), 0
        for row in rows_of(model):
            digest.update(repr(row).encode())
            count += 1
        found[model.__name__] = (count, digest.hexdigest())
    return found


def rows_of(model: Any) -> Iterator[Any]:
    """Yield the rows in the order of their key, a few thousand events at a time.

    Without the fingerprints, which are in no export: they say nothing of their own.
    """
    from django.db.models import Max

    told = [it.attname for it in model._meta.concrete_fields if it.name != "fingerprint"]
    key = "pk" if model.__name__ == "Event" else "event_id"
    last = 0
    top = model.objects.aggregate(top=Max(key))["top"] or 0
    while last < top:
        within = {f"{key}__gt": last, f"{key}__lte": last + CHUNK}
        yield from model.objects.filter(**within).order_by("pk").values_list(*told)
        last += CHUNK


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """Make a database, and give the environment in which a process uses it."""
    from django.db import connection

    connection.settings_dict["TEST"]["NAME"] = NAME
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = f"{tempfile.gettempdir()}/{NAME}.sqlite3"
    original = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"
    try:
        yield {**os.environ, "DATABASE_URL": url}
    finally:
        connection.creation.destroy_test_db(original, verbosity=0)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=2, metavar=("FORMAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    if options.child:
        print(json.dumps(export(options.child[0], Path(options.child[1]))))
        return
    with database() as environment, tempfile.TemporaryDirectory() as folder:
        measure(options.events, environment, Path(folder))


def measure(events: int, environment: dict[str, str], folder: Path) -> None:
    """Fill the database, export it twice, import it, and compare."""
    from django.core.management import call_command
    from django.db import connection

    began = time.perf_counter()
    fill(events)
    print(f"{events:,} events on {connection.display_name}, {time.perf_counter() - began:.0f} s")
    for name in ("ndjson", "csv"):
        path = folder / f"export.{name}"
        command = [sys.executable, "-m", "tests.benchmarks.export", "--child", name, str(path)]
        output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
        cost = json.loads(output)
        seconds, count, size = cost["seconds"], cost["events"], cost["bytes"] / 1e6
        print(
            f"{name:6} {count:,} events, {size:,.0f} MB in {seconds:.0f} s: "
            f"{count / seconds:,.0f} events/s, {size / seconds:.1f} MB/s; "
            f"idle {cost['idle'] / MIB:.1f} MiB, peak {cost['peak'] / MIB:.1f} MiB, "
            f"{(cost['peak'] - cost['idle']) / MIB:.1f} MiB more",
            flush=True,
        )
    before, began = digests(), time.perf_counter()
    call_command("flush", interactive=False, verbosity=0)
    restore(folder / "export.ndjson")
    after = digests()
    print(f"imported again in {time.perf_counter() - began:.0f} s")
    for name, (count, digest) in before.items():
        same = "equal" if after[name] == (count, digest) else "NOT EQUAL"
        print(f"{name:14} {count:10,} rows  {same}")
    if before != after:
        sys.exit(1)


if __name__ == "__main__":
    main()
