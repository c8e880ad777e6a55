"""Whether there is a place for deliveries that the database cannot take."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from superoffice_hooks.conf import SETTING, conf
from superoffice_hooks.models import Event

_THIS_HOST = ("", "localhost", "127.0.0.1", "::1")
_DATA_FOLDER = {
    # Not SHOW, which fails for those who may not know it.
    "postgresql": "SELECT setting FROM pg_settings WHERE name = 'data_directory'",
    "mysql": "SELECT @@datadir",
}


def check_spool(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W009: no spool. E007: one that cannot be used. W010: one that others can open."""
    try:
        folder = conf.spool_dir
    except ImproperlyConfigured:
        return []  # E002 says it
    if folder is None:
        return [
            Warning(
                "There is no SPOOL_DIR: while the database is away every delivery is turned away, "
                "and after nine of them SuperOffice switches the webhook off.",
                hint=f'In {SETTING} set "SPOOL_DIR": "/var/spool/superoffice_hooks", after making '
                "it for the user of the server, www-data for example, best on another disk than "
                "the database's: install -d -m 700 -o www-data /var/spool/superoffice_hooks",
                id="superoffice_hooks.W009",
            )
        ]
    obstacle = _obstacle(folder)
    if obstacle:
        return [
            Error(
                f"SPOOL_DIR cannot be used: {obstacle}.",
                hint="Make it for the user of the server, www-data for example, and run this check "
                f"as that user: install -d -m 700 -o www-data {shlex.quote(str(folder))}",
                id="superoffice_hooks.E007",
            )
        ]
    # Elsewhere than on POSIX the mode says nothing of who can open a folder.
    if os.name == "posix" and folder.exists() and folder.stat().st_mode & 0o077:
        return [
            Warning(
                f"Other users can open SPOOL_DIR ({folder.stat().st_mode & 0o777:o}), and "
                "deliveries hold personal data.",
                hint=f"Type: chmod 700 {shlex.quote(str(folder))}",
                id="superoffice_hooks.W010",
            )
        ]
    return []


def check_disk(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W011: a spool on the disk of SQLite's file, which is full when that is full."""
    connection = connections[router.db_for_write(Event)]
    if connection.vendor != "sqlite":
        return []
    return _same_disk(Path(connection.settings_dict["NAME"]))


def check_server_disk(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W011 for a server on this host that tells where its data is. Asks the database."""
    alias = router.db_for_write(Event)
    connection = connections[alias]
    if alias not in (databases or ()) or connection.vendor not in _DATA_FOLDER:
        return []
    host = str(connection.settings_dict["HOST"] or "")
    if host not in _THIS_HOST and not host.startswith("/"):  # a path is that of a socket
        return []
    with connection.cursor() as cursor:
        cursor.execute(_DATA_FOLDER[connection.vendor])
        told = cursor.fetchone()
    return _same_disk(Path(told[0])) if told else []


def _same_disk(data: Path) -> list[CheckMessage]:
    try:
        folder = conf.spool_dir
    except ImproperlyConfigured:
        return []  # E002 says it
    if folder is None:
        return []  # W009 says it
    disk = _disk(data)
    if disk is None or disk != _disk(_nearest(folder)):
        return []
    return [
        Warning(
            f"SPOOL_DIR is on the disk of the database ({data}): when it is full or broken, both "
            "are.",
            hint=f'Set {SETTING}["SPOOL_DIR"] to a folder on another disk (df lists them), or '
            "silence this check if you have only one.",
            id="superoffice_hooks.W011",
        )
    ]


def _obstacle(folder: Path) -> str | None:
    """Return what keeps this user from writing there; ``None`` where nothing does."""
    for place in (folder, *(folder / name for name in ("tmp", "new", "bad"))):
        nearest = _nearest(place)
        if not nearest.is_dir():
            return f"{nearest} is not a folder"
        if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
            return f"the user of this process may not read and write {nearest}"
    return None


def _nearest(folder: Path) -> Path:
    """Return the folder, or where it does not exist yet the one in which it will be made."""
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


def _disk(place: Path) -> int | None:
    try:
        return place.stat().st_dev
    except OSError:  # another host's, or hidden from this user
        return None
