"""The long form: ``python -m tests.reliability SCENARIO --seed S`` prints figures to publish.

Exit code 1 means that a promise was broken. PostgreSQL is a server of its own, made for the run
and removed after it; ``--database sqlite`` is a file, and ``--database URL`` an empty database
of another server, for the scenarios that stop none.
"""

import argparse
import inspect
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.reliability import scenarios
from tests.reliability.database import Cluster, migrate
from tests.reliability.report import Report
from tests.reliability.server import KINDS
from tests.reliability.simulator import Counting

# What is played where no option says otherwise.
SIZES: dict[Callable[..., Report], dict[str, float]] = {
    scenarios.kills: {"acks": 1_000_000, "kills": 1_000},
    scenarios.steps: {"rounds": 20},
    scenarios.failures: {"events": 20_000, "every": 7},
    scenarios.stops: {"stops": 50, "rate": 50.0},
    scenarios.outage: {"minutes": 10.0, "rate": 50.0},
    scenarios.storm: {"events": 100_000, "copies": 10, "in_flight": 64},
    scenarios.flood: {"posts": 200_000, "rate": 50.0, "quiet": 60.0, "flood_rate": 0.0},
    scenarios.link: {"seconds": 60.0, "rate": 20.0},
    scenarios.clock: {"events": 20_000, "rate": 100.0},
    scenarios.disk: {"cycles": 20, "kilobytes": 4096},
}


def main() -> None:
    """Play one scenario and print its seed, its figures and what it broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    chosen = parser.add_subparsers(dest="scenario", required=True)
    for scenario, sizes in SIZES.items():
        line = (inspect.getdoc(scenario) or "").partition("\n")[0]
        one = chosen.add_parser(scenario.__name__, help=line, description=line)
        one.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
        one.add_argument("--database", default="postgresql", help="postgresql, sqlite or a URL")
        one.add_argument("--server", choices=KINDS, default="gunicorn")
        one.add_argument(
            "--counting", choices=[each.value for each in Counting], default="attempts"
        )
        one.add_argument("--verbose", action="store_true", help="tell how far it is")
        one.add_argument("--keep", action="store_true", help="keep journals, spool and logs")
        for name, value in sizes.items():
            one.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args()
    [(scenario, sizes)] = [
        (each, sizes) for each, sizes in SIZES.items() if each.__name__ == options.scenario
    ]
    # Whatever ends the run must end what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=f"reliability-{options.scenario}-"))
        if not options.keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            print(f"kept in {folder}")
        own, url = options.database == "postgresql", options.database
        if url == "sqlite":
            url = f"sqlite:///{folder / 'site.sqlite3'}"
        if not own:
            migrate(url)
        stage = scenarios.Stage(
            folder=folder,
            cluster=stack.enter_context(Cluster()) if own else None,
            database_url="" if own else url,
            seed=options.seed,
            kind=options.server,
            counting=Counting(options.counting),
            verbose=options.verbose,
        )
        print(f"seed {options.seed}", flush=True)
        report = scenario(stage, **{name: getattr(options, name) for name in sizes})
        print(report)
    raise SystemExit(1 if report.broken else 0)


if __name__ == "__main__":
    main()
