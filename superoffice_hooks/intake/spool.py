"""Deliveries on disk, for as long as the database cannot take them.

A folder as mail has used it for decades: ``tmp/`` holds what is being written, ``new/`` what is
complete and may have been answered 200, ``bad/`` what is torn or altered. A file is one line of
JSON with all that is known of the delivery, the body as it came, and the SHA-256 of both.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from django.db import connections, router
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.models import Delivery

VERSION: Final = 1
SUFFIX: Final = ".delivery"
ABANDONED: Final = 60.0  # seconds after which nobody is writing a file any more
_SEAL_LENGTH: Final = 1 + 64 + 1  # a line of its own, in hexadecimal


class SpoolFileError(Exception):
    """The file is torn or altered; the text says in what way and holds nothing of its content."""


class Spool:
    """The spool in one folder, which is made when it is first needed.

    Any number of processes of one host may write and drain it at once. Files have the mode 0600
    and folders 0700: they hold personal data. Every method raises ``OSError`` where the disk
    refuses.

    A file is named after the database that it waits for, so that a test run, or a copy of the
    site, drains nothing that is not its own; ``any_database`` takes what waits for others too.
    """

    def __init__(self, folder: Path, *, any_database: bool = False) -> None:
        self.folder = folder
        self._suffix = f"-{_database()}{SUFFIX}"
        self._ours = SUFFIX if any_database else self._suffix
        self.tmp, self.new, self.bad = folder / "tmp", folder / "new", folder / "bad"

    @sensitive_variables()
    def keep(self, arrival: Arrival) -> Path:
        """Write a delivery so that it survives a power cut, and return its file.

        It is complete or not in ``new/``. After any ``OSError`` it counts as lost: an fsync that
        has failed once may claim success the next time.
        """
        self._make_folders()
        stamp = int(arrival.received_at.timestamp() * 1_000_000)
        name = f"{stamp:020}-{uuid4().hex}{self._suffix}"
        written, kept = self.tmp / name, self.new / name
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(_encode(arrival))
                file.flush()
                os.fsync(file.fileno())
            os.rename(written, kept)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        _sync_folder(self.new)
        return kept

    def waiting(self) -> list[Path]:
        """Return the files that wait for the database, the oldest first.

        Among them is what a crash has left in ``tmp/``: if it is complete, it is as good as any.
        """
        left = [path for path in _files(self.tmp, self._ours) if _age(path) > ABANDONED]
        return sorted([*_files(self.new, self._ours), *left], key=lambda path: path.name)

    def damaged(self) -> list[Path]:
        """Return the files that could not be read, the oldest first."""
        return sorted(_files(self.bad, SUFFIX), key=lambda path: path.name)

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not any(_files(self.new, self._ours)) and not any(_files(self.tmp, self._ours))

    def foreign(self) -> list[Path]:
        """Return the files that wait for another database, the oldest first."""
        files = (path for path in _files(self.new, SUFFIX) if not path.name.endswith(self._suffix))
        return sorted(files, key=lambda path: path.name)

    def set_aside(self, path: Path) -> Path:
        """Move a damaged file to ``bad/``, where it stays, and return its new place.

        What comes from ``tmp/`` was never answered 200, and is named so that nobody misses it.
        """
        name = f"{path.name}.unfinished" if path.parent == self.tmp else path.name
        aside = self.bad / name
        os.rename(path, aside)
        _sync_folder(self.bad)
        return aside

    def _make_folders(self) -> None:
        if self.new.is_dir() and self.tmp.is_dir() and self.bad.is_dir():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.tmp, self.new, self.bad):
            folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(self.folder)
        _sync_folder(self.folder.parent)


@sensitive_variables()
def read(content: bytes) -> Arrival:
    """Return the delivery that a file holds, or raise ``SpoolFileError``."""
    head, _, rest = content.partition(b"\n")
    body, seal = rest[:-_SEAL_LENGTH], rest[-_SEAL_LENGTH:]
    if seal != _seal(head + b"\n" + body):
        raise SpoolFileError("it is torn, or was altered: its SHA-256 does not fit.")
    try:
        told = json.loads(head)
        if told.pop("version") != VERSION:
            raise SpoolFileError("it was written by another version of superoffice_hooks.")
        return Arrival(
            **told | {"received_at": datetime.fromisoformat(told["received_at"]), "body": body}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SpoolFileError("it is not what superoffice_hooks writes.") from None


@sensitive_variables()
def _encode(arrival: Arrival) -> bytes:
    told: dict[str, Any] = {
        "version": VERSION,
        "endpoint": arrival.endpoint,
        "received_at": arrival.received_at.isoformat(),
        "headers": arrival.headers,
        "remote_address": arrival.remote_address,
        "signature": arrival.signature,
        "key_id": arrival.key_id,
    }
    content = json.dumps(told).encode("ascii") + b"\n" + arrival.body
    return content + _seal(content)


def _seal(content: bytes) -> bytes:
    return b"\n" + hashlib.sha256(content).hexdigest().encode("ascii") + b"\n"


def _database() -> str:
    """Return eight digits for the name of the database; a server may change its address."""
    name = connections[router.db_for_write(Delivery)].settings_dict["NAME"]
    return hashlib.sha256(str(name).encode("utf-8", "replace")).hexdigest()[:8]


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    yield Path(entry.path)
    except FileNotFoundError:  # nothing was ever spooled
        return


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # it was finished meanwhile
        return 0.0


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last; the files in it are synced on their own."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
