"""What the app adds to the start of a site: ``check`` with it and without, in turn."""

import os
import subprocess
import sys
import time
from random import Random
from statistics import median

from tests.benchmarks import report
from tests.benchmarks.processes import ROOT
from tests.benchmarks.site import SETTINGS

SITES = {
    "site": "what startproject writes",
    "requirements": "+ rest_framework, django_filters",
    "uses": "+ one filtered ListAPIView of them",
    "app": "+ superoffice_hooks, without that view",
}


def measure(rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Return by site how long each check took, in seconds; one round before does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in SITES}
    shuffled = Random(seed)
    for number in range(rounds + 1):
        for name in shuffled.sample([*SITES], len(SITES)):
            began = time.perf_counter()
            check(name)
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def check(name: str) -> None:
    """Check one of the sites.

    What is installed is compiled once. So is the app here, whatever the environment says: or each
    check would compile the whole of it, and nothing of what it is compared with.
    """
    environment = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "BENCHMARK_APPS": name,
        "PYTHONDONTWRITEBYTECODE": "",
    }
    subprocess.run(
        [sys.executable, "-m", "django", "check"],
        cwd=ROOT,
        env={**os.environ, **environment, "DATABASE_URL": "sqlite://:memory:"},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def shown(seconds: dict[str, list[float]]) -> str:
    """Return the table."""
    base = median(seconds["site"])
    rows = [
        (
            SITES[name],
            report.milliseconds(median(measured)),
            f"({report.milliseconds(min(measured))}-{report.milliseconds(max(measured))})",
            f"{(median(measured) - base) * 1000:+,.1f}",
            report.ratio(median(measured), base),
        )
        for name, measured in seconds.items()
    ]
    heading = ("manage.py check", "ms", "(min-max)", "added ms", "ratio")
    app = median(seconds["app"])
    beyond = [
        f"{(app - median(seconds[name])) * 1000:+,.1f} ms beyond {told}"
        for name, told in (("requirements", "its requirements"), ("uses", "a site that uses them"))
    ]
    return f"{report.table('startup', heading, rows)}\n\nThe app adds {', '.join(beyond)}."
