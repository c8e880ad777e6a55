"""The same on SQLite with the options that the README names, beside the ORM row by row."""

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.ingest import Result

COMPARED = ("orm", "superoffice_hooks", "webhook_first")
LOCKED = "database is locked"


def locked(folder: Path) -> dict[str, int]:
    """Return by system how often its server's log says that the database is locked."""
    return {
        log.stem: log.read_text("utf-8", "replace").count(LOCKED)
        for log in sorted(folder.glob("*.log"))
    }


def shown(folder: Path, results: Sequence[Result]) -> str:
    """Return a line on what was turned away."""
    lines = []
    for system, count in locked(folder).items():
        runs = [result.run for result in results if result.system == system]
        refused = sum(run.count - run.answers[200] for run in runs)
        lines.append(f'{system}: {refused} not 200, "{LOCKED}" {count} times in its log')
    return "\n".join(lines)
