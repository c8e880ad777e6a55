"""Whether a worker grows: its memory while it takes delivery after delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import report
from tests.benchmarks.bodies import Bodies
from tests.benchmarks.client import drive
from tests.benchmarks.ingest import System
from tests.benchmarks.processes import HAS_PROC, Server, resident

LOOKS = 10


@dataclass(frozen=True, slots=True)
class Look:
    """The memory of the worker, in bytes, after so many deliveries."""

    deliveries: int
    resident: int
    not_200: int


def measure(
    deliveries: int, bodies: Bodies, system: System, environment: dict[str, str], log: Path
) -> list[Look]:
    """Post so many deliveries to one worker, and look at it ten times; the first warms it up."""
    if not HAS_PROC:
        return []
    looks: list[Look] = []
    with Server(environment, log, workers=1, threads=4) as server:
        [worker] = server.worker_pids
        for number in range(LOOKS):
            begin, end = (deliveries * place // LOOKS for place in (number, number + 1))
            run = drive(server.ports, system.requests(bodies, begin, end - begin), 8)
            looks.append(Look(end, resident(worker), run.count - run.answers[200]))
    return looks


def shown(looks: Sequence[Look]) -> str:
    """Return the table, and how much a delivery adds after the warm-up."""
    if not looks:
        return "memory: only Linux tells it"
    rows = [
        (
            f"{look.deliveries:,}",
            f"{look.resident / report.MIB:.1f}",
            f"{(look.resident - looks[0].resident) / report.MIB:+.1f}",
            look.not_200,
        )
        for look in looks
    ]
    grown = looks[-1].resident - looks[0].resident
    measured = max(1, looks[-1].deliveries - looks[0].deliveries)
    heading = ("deliveries", "MiB", "since the warm-up", "not 200")
    return "\n".join(
        [
            report.table("memory: one worker", heading, rows),
            f"{grown / measured:+,.1f} bytes for each delivery after the warm-up",
        ]
    )
