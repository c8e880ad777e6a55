"""Whether any signed body or any header costs a delivery: as many as you like, made up.

Run it as ``python -m tests.fuzz --bodies 1000000 --headers 200000 --seed 1``. Each process has a
database of its own, SQLite files or on the server that ``DATABASE_URL`` names, and they are
removed. Every signed body must be answered 200 and be found in the database byte for byte; every
header set must be answered 200 where it proves the sender, else 401. The first delivery of which
this does not hold is printed with the command that makes it again.
"""

import argparse
import os
import time

import django

from tests.fuzz.processes import fuzz


def main() -> int:
    """Run once as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--bodies", type=int, default=10_000, help="how many signed bodies")
    parser.add_argument("--headers", type=int, default=2_000, help="how many sets of headers")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="makes the same again")
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection

    from tests.fuzz.webhook import BATCH, Batch

    print(f"seed {options.seed}, {connection.vendor}, {options.processes} processes", flush=True)
    last = {kind: options.first + getattr(options, kind) for kind in ("bodies", "headers")}
    batches = [
        Batch(kind, options.seed, first, min(BATCH, last[kind] - first))
        for kind in last
        for first in range(options.first, last[kind], BATCH)
    ]
    started = time.monotonic()
    total = fuzz(batches, options.processes)
    seconds, count = time.monotonic() - started, total.outcomes.total()
    print(f"\n{count:,} deliveries in {seconds:,.0f} s, {count / seconds:,.0f} a second")
    for name, counts in (("Outcomes", total.outcomes), ("Reasons", total.reasons)):
        print(f"\n{name}")
        for what, number in counts.most_common():
            print(f"{number:>11,}  {what}")
    print(f"\nFAILED\n{total.failure}" if total.failure else "\nEverything authentic is stored.")
    return 1 if total.failure else 0


if __name__ == "__main__":
    raise SystemExit(main())
