"""Measures the app, beside other ways to do the same: ``python -m tests.benchmarks [PART]``.

Without a part all of them are run, one after another, each in a process of its own. Each prints
its figures with the machine and the versions, and ``--out`` keeps them as JSON. A part makes a
database of its own on the server that ``--database`` or ``DATABASE_URL`` names, and removes it;
without either it is an SQLite file in the folder for temporary files, which ``TMPDIR`` chooses.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks import bulk, ingest, memory, reads, report, space, sqlite, startup
from tests.benchmarks.bodies import Bodies
from tests.benchmarks.fill import fill, is_filled
from tests.benchmarks.processes import ROOT
from tests.benchmarks.site import scratch

Options = argparse.Namespace


def play_ingest(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """Deliveries a second over HTTP, beside other ways to store them."""
    load = _load(options)
    results = ingest.measure(ingest.systems(options.only), load, environment, folder)
    print(ingest.shown(_title("ingest", load), results))
    return ingest.figures(results)


def play_sqlite(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """The same on SQLite, beside the ORM row by row."""
    load = _load(options)
    chosen = ingest.systems(options.only or sqlite.COMPARED)
    results = ingest.measure(chosen, load, environment, folder)
    print(ingest.shown(_title("sqlite", load), results, base="orm"))
    print(sqlite.shown(folder, results))
    return ingest.figures(results)


def play_bulk(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """Drain of a spool and rebuild of all events, beside COPY of the same rows."""
    events = options.events or 20_000
    results = bulk.measure(events, _bodies(options), folder)
    print(bulk.shown(events, results))
    return [{"name": each.name, "seconds": each.seconds, "rows": each.rows} for each in results]


def play_reads(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """Every page of the admin and filter of the API on a filled trail."""
    from django.conf import settings

    from superoffice_hooks.models import Event

    events = options.events or 100_000
    if not is_filled(events):
        fill(events, options.seed, _tell)
    events = Event.objects.count()
    against = json.loads(options.against.read_text()) if options.against else None
    _tell("pages")
    pages = reads.measure(options.samples, reads.admin_pages() | reads.api_pages())
    pairs = reads.pairs()
    slowest = reads.slowest(reads.measure(1, pairs))
    pages += reads.measure(options.samples, {"slowest pair of filters": pairs[slowest]})
    if settings.HAS_AUDITLOG and events >= reads.AUDITLOG_ROWS:
        _tell("django-auditlog")
        pages += reads.measure(options.samples, reads.auditlog_pages())
    print(reads.shown(events, pages, against))
    print(f"The slowest of {len(pairs)} pairs of filters: {slowest}")
    if unasked := reads.unasked():
        print(f"not asked: {', '.join(unasked)}")
    return reads.figures(events, pages)


def play_space(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """Bytes on disk for an event, by table and index."""
    found = space.measure(options.events or 20_000, _bodies(options))
    print(space.shown(found))
    return {"events": found.events, "body": found.body, "parts": found.parts}


def play_memory(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """Memory of a worker over many deliveries."""
    [system] = ingest.systems(["superoffice_hooks"])
    looks = memory.measure(
        options.events or 20_000, _bodies(options), system, environment, folder / "memory.log"
    )
    print(memory.shown(looks))
    return [[look.deliveries, look.resident, look.not_200] for look in looks]


def play_startup(options: Options, environment: dict[str, str], folder: Path) -> Any:
    """What the app adds to the start of a site."""
    seconds = startup.measure(options.rounds * 3, options.seed)
    print(startup.shown(seconds))
    return seconds


Play = Callable[[Options, dict[str, str], Path], Any]
PARTS: dict[str, Play] = {
    "ingest": play_ingest,
    "sqlite": play_sqlite,
    "bulk": play_bulk,
    "reads": play_reads,
    "space": play_space,
    "memory": play_memory,
    "startup": play_startup,
}
ALONE = ("export", "follow")  # they have a command line of their own
ALL = "all"


def main() -> int:
    """Run one part, or all of them; return the exit status."""
    parser = _parser()
    options = parser.parse_args()
    if options.keep and not options.database:
        parser.error("--keep needs --database: a file for temporary use is not kept")
    # Whatever ends the run must end what it has started, and remove its database.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    if options.part == ALL:
        given = [text for text in sys.argv[1:] if text != ALL]
        return max([_run(part, given, options.out) for part in (*PARTS, *ALONE)])
    if options.part in ALONE:
        return _run_alone(options)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"benchmark-{options.part}-") as folder:
        url = "" if options.part in ("sqlite", "startup") else options.database
        keep = options.keep and options.part == "reads"
        with scratch(options.part, url, Path(folder), keep=keep) as environment:
            print(f"{report.machine()}\n{report.database()}\nseed {options.seed}", flush=True)
            found = PARTS[options.part](options, environment, Path(folder))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _run(part: str, given: list[str], out: Path | None) -> int:
    """Run a part in a process of its own, with the options that all were given."""
    print(f"\n=== {part}", flush=True)
    command = [sys.executable, "-m", "tests.benchmarks", part, *given]
    if out is not None:  # each has a file of its own
        command += ["--out", str(out.with_name(f"{out.stem}-{part}{out.suffix}"))]
    return _status(command)


def _run_alone(options: Options) -> int:
    """Run a module that measures by itself."""
    command = [sys.executable, "-m", f"tests.benchmarks.{options.part}"]
    if options.events:
        command += ["--events", str(options.events)]
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ.pop("DATABASE_URL", None)
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    return _status(command)


def _status(command: list[str]) -> int:
    """Run a command and return its exit status; whatever ends this process ends it in order."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has told it too
            raise
        except BaseException:
            process.terminate()
            raise


def _load(options: Options) -> ingest.Load:
    return ingest.Load(
        seconds=options.seconds,
        rounds=options.rounds,
        seed=options.seed,
        threads=tuple(options.threads),
        connections=options.connections,
        workers=options.workers,
        templates=options.templates,
        deliveries=options.events or 0,
    )


def _bodies(options: Options) -> Bodies:
    return Bodies(options.seed, templates=options.templates)


def _title(part: str, load: ingest.Load) -> str:
    how = f"{load.deliveries:,} deliveries" if load.deliveries else f"{load.seconds:g} s"
    return (
        f"{part}: {load.connections} connections, {load.workers} workers, "
        f"{load.rounds} rounds of {how}, medians"
    )


def _tell(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parts = "\n".join(
        f"  {name:8} {(play.__doc__ or '').partition(chr(10))[0]}" for name, play in PARTS.items()
    )
    alone = "\n".join(f"  {name:8} See python -m tests.benchmarks.{name} --help" for name in ALONE)
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=f"{__doc__}\n{parts}\n{alone}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="?", choices=[*PARTS, *ALONE, ALL], default=ALL)
    parser.add_argument("--database", default=os.environ.get("DATABASE_URL", ""), metavar="URL")
    parser.add_argument("--events", type=int, help="how many, in place of the part's own")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run; default 4")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--templates", type=int, default=0, help="repeat the values of so many")
    parser.add_argument("--threads", type=int, nargs="+", default=[4, 16], help="default 4 16")
    parser.add_argument("--connections", type=int, default=32, help="default 32")
    parser.add_argument("--workers", type=int, default=2, help="default 2")
    parser.add_argument("--only", nargs="+", default=[], metavar="SYSTEM")
    parser.add_argument("--samples", type=int, default=20, help="of each page of reads; default 20")
    parser.add_argument("--keep", action="store_true", help="keep the trail of reads, or reuse it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare reads with an --out")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
