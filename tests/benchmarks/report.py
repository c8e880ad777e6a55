"""How figures are shown: tables, and on what they were measured."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("Django", "psycopg", "gunicorn", "superoffice-hooks", "django-auditlog", "dj-stripe")
DURABILITY = ("fsync", "synchronous_commit", "wal_sync_method", "shared_buffers")
MIB = 1024 * 1024


def table(title: str, heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown, in columns also where nothing renders it."""
    lines = [[str(cell) for cell in row] for row in (heading, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    lines.insert(1, ["-" * width for width in widths])
    shown = [
        " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([f"\n{title}\n", *(f"| {line} |" for line in shown)])


def ratio(value: float | None, base: float | None) -> str:
    """Return how many times the base this is, "-" where one of them is unknown."""
    return f"{value / base:.2f}" if value is not None and base else "-"


def microseconds(seconds: float | None) -> str:
    """Return seconds as whole microseconds, "-" where they are unknown."""
    return "-" if seconds is None else f"{seconds * 1e6:,.0f}"


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1e3:,.1f}"


def machine() -> str:
    """Return the machine and the versions, in a few lines."""
    lines = [
        f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.platform()}",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
        *(
            f"{name} is not installed: not compared"
            for name in ("django-auditlog", "dj-stripe")
            if not _version(name)
        ),
    ]
    return "\n".join(lines)


def database() -> str:
    """Return the database of this process and how durable it is."""
    from django.db import connection

    number = ".".join(map(str, connection.get_database_version()))
    told = [f"{connection.display_name} {number}"]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for name in DURABILITY:
                cursor.execute("SELECT current_setting(%s)", [name])
                told.append(f"{name} {cursor.fetchone()[0]}")
        elif connection.vendor == "sqlite":
            for name in ("journal_mode", "synchronous"):
                cursor.execute(f"PRAGMA {name}")
                told.append(f"{name} {cursor.fetchone()[0]}")
            told.append(f"in {connection.settings_dict['NAME']}")
    return ", ".join(told)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{size / MIB / 1024:.0f} GiB"
