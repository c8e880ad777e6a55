"""What waits in the spool for the database, and whether there is room for more."""

import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured

from superoffice_hooks.conf import conf
from superoffice_hooks.intake.spool import Spool
from superoffice_hooks.management.doctor.finding import Finding, error, ok, warning

ROOM_FOR: Final = 100  # bodies of the largest size


def waiting() -> Iterator[Finding]:
    """Yield what is in the spool; nothing where the settings name none."""
    try:
        folder, needed = conf.spool_dir, ROOM_FOR * conf.max_body_bytes
    except ImproperlyConfigured:
        return  # the check E002 says it
    if folder is None:
        return  # the check W009 says it
    spool = Spool(folder)
    try:
        kept, damaged, foreign = spool.waiting(), spool.damaged(), spool.foreign()
        since = _oldest(kept)
        free = shutil.disk_usage(_existing(folder)).free
    except OSError as failure:
        yield error(
            f"The spool in {folder} cannot be read ({failure.strerror or failure}).",
            "Run this command as the user of the server.",
        )
        return
    if kept:
        yield warning(
            f"In the spool {len(kept)} deliveries wait for the database{since}.",
            "They are stored as soon as the site finds the database back. Where none runs, type: "
            "python manage.py superoffice_drain",
        )
    elif folder.exists():
        yield ok("Nothing waits in the spool for this database.")
    else:
        yield ok(f"Nothing was ever spooled: there is no folder {folder} yet.")
    if foreign:
        yield warning(
            f"The spool holds {len(foreign)} deliveries that wait for another database than "
            "DATABASES names now.",
            "If it was renamed, type: python manage.py superoffice_drain --any-database",
        )
    if damaged:
        yield error(
            f"The spool holds damaged files, {len(damaged)}: deliveries that were answered 200 and "
            "cannot be read.",
            "Look the records up in SuperOffice that what is left of each names, and move the file "
            f"elsewhere then: less {shlex.quote(str(damaged[0]))}",
        )
    if free < needed:
        yield warning(
            f"The disk of the spool has {free // 2**20} MiB left, less than {ROOM_FOR} of the "
            "largest bodies need.",
            f"Make room; to see what there is, type: df -h {shlex.quote(str(folder))}",
        )


def _oldest(kept: list[Path]) -> str:
    for path in kept:
        try:
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:  # it was drained meanwhile
            continue
        return f", the oldest since {written:%Y-%m-%d %H:%M} UTC"
    return ""


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
