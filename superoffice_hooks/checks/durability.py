"""Whether a commit survives a crash of the machine, and whether a database can hang for long."""

import os
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from superoffice_hooks.models import Event

LONGEST_CONNECT = 5  # seconds; by then SuperOffice has tried three times

# What a setting has where a commit lasts.
_POSTGRESQL = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
}
_MARIADB = {
    "innodb_flush_log_at_trx_commit": ("1", "3"),  # 3 syncs more often than 1
    "innodb_doublewrite": ("1", "on"),
    "sync_binlog": ("1",),
}
_SQLITE = {"journal_mode": ("wal",), "synchronous": ("2", "3")}  # FULL, EXTRA


def check_postgresql(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W012: PostgreSQL confirms what is not on disk yet. Asks the database."""
    connection = _asked("postgresql", databases)
    if connection is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(_POSTGRESQL)]
        )
        risks = _risks(dict(cursor.fetchall()), _POSTGRESQL)
    mend = "; ".join(f"ALTER SYSTEM SET {name} = on" for name in risks)
    return _loses(
        risks,
        "PostgreSQL",
        f"In psql, as a superuser: {mend}; SELECT pg_reload_conf(); and remove what sets it for "
        f"the role, the database, or in the OPTIONS of the connection.",
        id="superoffice_hooks.W012",
    )


def check_mariadb(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W013: MariaDB confirms what is not on disk yet. Asks the database."""
    connection = _asked("mysql", databases)
    if connection is None:
        return []
    with connection.cursor() as cursor:
        names = [*_MARIADB, "log_bin"]
        cursor.execute(f"SELECT {', '.join(f'@@{name}' for name in names)}")
        told = {
            name: str(value).lower() for name, value in zip(names, cursor.fetchone(), strict=True)
        }
    if told["log_bin"] not in ("1", "on"):
        del told["sync_binlog"]  # it has no binary log to sync
    risks = _risks(told, _MARIADB)
    mend = ", ".join(f"{name} = 1" for name in risks)
    return _loses(
        risks,
        "MariaDB",
        f"In the server's configuration, below [mysqld], set {mend}; then restart it.",
        id="superoffice_hooks.W013",
    )


def check_sqlite_file(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W014: SQLite's file is not as the settings would have it. Asks the database.

    W003 reads the settings; a disk of a network, for one, does without WAL whatever they say.
    """
    connection = _asked("sqlite", databases)
    if connection is None:
        return []
    told = {}
    for name in _SQLITE:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA {name}")
            told[name] = str(cursor.fetchone()[0]).lower()
    return _loses(
        _risks(told, _SQLITE),
        "SQLite",
        f'In DATABASES["{connection.alias}"]["OPTIONS"] set "init_command": "PRAGMA '
        'journal_mode=WAL; PRAGMA synchronous=FULL;", and keep the file on a disk of this machine.',
        id="superoffice_hooks.W014",
    )


def check_connect_timeout(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W015: a host that does not answer keeps whoever asks it waiting for minutes."""
    connection = connections[router.db_for_write(Event)]
    if connection.vendor not in ("postgresql", "mysql"):
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor == "postgresql" and "service" in options:
        return []  # its file can have it
    given = options.get("connect_timeout")
    if given is None and connection.vendor == "postgresql":
        given = os.environ.get("PGCONNECT_TIMEOUT")
    try:
        if given is not None and 0 < float(given) <= LONGEST_CONNECT:
            return []
    except (TypeError, ValueError):
        pass
    return [
        Warning(
            f'DATABASES["{connection.alias}"] has '
            + ("no connect_timeout" if given is None else f"a connect_timeout of {given}")
            + ": while the database's host does not answer, pages and commands wait for it, and a "
            "delivery for longer than SuperOffice does unless there is a SPOOL_DIR.",
            hint=f'In DATABASES["{connection.alias}"] set "OPTIONS": {{"connect_timeout": 2}}, '
            "in seconds; PostgreSQL's driver takes no less.",
            id="superoffice_hooks.W015",
        )
    ]


def _asked(vendor: str, databases: Sequence[str] | None) -> BaseDatabaseWrapper | None:
    """Return the connection of the trail where it is this vendor's and may be asked."""
    alias = router.db_for_write(Event)
    connection = connections[alias]
    return connection if connection.vendor == vendor and alias in (databases or ()) else None


def _risks(told: dict[str, str], safe: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the settings under which a commit can be lost."""
    return {name: value for name, value in told.items() if value not in safe.get(name, (value,))}


def _loses(risks: dict[str, str], server: str, hint: str, *, id: str) -> list[CheckMessage]:
    if not risks:
        return []
    listed = ", ".join(f"{name} = {value}" for name, value in risks.items())
    message = f"{server} has {listed}: what was answered 200 can be lost in a power cut."
    return [Warning(message, hint=hint, id=id)]
