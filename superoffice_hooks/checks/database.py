"""Whether the database can keep what is answered 200."""

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from superoffice_hooks.conf import SETTING, conf
from superoffice_hooks.models import Event


def check_sqlite(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W003: SQLite with options under which writers fail or a 200 may not survive a power cut."""
    connection = connections[router.db_for_write(Event)]
    if connection.vendor != "sqlite":
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    mode = str(options.get("transaction_mode", "")).upper()
    pragmas = re.sub(r"\s", "", str(options.get("init_command", ""))).lower()
    missing = [
        name
        for name, given in (
            ('"transaction_mode": "IMMEDIATE"', mode == "IMMEDIATE"),
            ("journal_mode=WAL", "journal_mode=wal" in pragmas),
            ("synchronous=FULL", re.search(r"synchronous=(full|extra|2|3)\b", pragmas)),
        )
        if not given
    ]
    if not missing:
        return []
    return [
        Warning(
            f"SQLite is used without {', '.join(missing)}: "
            + (
                "a delivery that was answered 200 may be lost in a power cut."
                if missing == ["synchronous=FULL"]
                else 'simultaneous deliveries can fail with "database is locked".'
            ),
            hint=f'In DATABASES["{connection.alias}"] set "OPTIONS": {{"transaction_mode": '
            '"IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}}.',
            id="superoffice_hooks.W003",
        )
    ]


def check_autocommit(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E006: without AUTOCOMMIT a delivery would be answered 200 before it is committed."""
    connection = connections[router.db_for_write(Event)]
    if connection.settings_dict.get("AUTOCOMMIT", True):
        return []
    return [
        Error(
            f'DATABASES["{connection.alias}"] has AUTOCOMMIT off: a delivery would be answered '
            "200 and then be lost.",
            hint="Remove AUTOCOMMIT, or route superoffice_hooks to a database of its own.",
            id="superoffice_hooks.E006",
        )
    ]


def check_packet(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W008: MariaDB refuses statements that are larger than one packet. Asks the database."""
    alias = router.db_for_write(Event)
    connection = connections[alias]
    if connection.vendor != "mysql" or alias not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        packet = int(cursor.fetchone()[0])
    try:
        needed = 4 * conf.max_body_bytes  # so much can escaping and rewriting numbers add
    except ImproperlyConfigured:
        return []  # E002 says it
    if packet >= needed:
        return []
    return [
        Warning(
            f"max_allowed_packet is {packet} bytes: a body of MAX_BODY_BYTES may not fit, and is "
            "quarantined, or answered 503.",
            hint=f"Set max_allowed_packet = {needed} in the server's configuration, or lower "
            f'{SETTING}["MAX_BODY_BYTES"] to {packet // 4}.',
            id="superoffice_hooks.W008",
        )
    ]


def check_time_zones(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E005: without USE_TZ no moment of the trail could be stored."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is off: the trail keeps moments in UTC, and no delivery can be stored.",
            hint="Set USE_TZ = True, Django's default.",
            id="superoffice_hooks.E005",
        )
    ]
