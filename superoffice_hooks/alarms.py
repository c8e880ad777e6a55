"""What a person should be told of: as a log record, and as the signal ``alarm_raised``."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final

from django.db import connections

from superoffice_hooks.signals import alarm_raised

logger = logging.getLogger("superoffice_hooks.alarms")

QUIET: Final = 60.0  # seconds in which one process does not repeat itself
MAX_REMEMBERED: Final = 1_000

# When each alarm was sounded last, and how bad it was then.
_last: dict[tuple["Alarm", str], tuple[float, int]] = {}


class Alarm(StrEnum):
    """The alarms; each is logged with its name as ``record.alarm``."""

    SPOOL_IN_USE = "spool_in_use"
    SPOOL_DAMAGED = "spool_damaged"
    SPOOL_FAILED = "spool_failed"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    WEBHOOK_STOPPED = "webhook_stopped"
    TENANT_SILENT = "tenant_silent"


# What has lost a delivery, or will unless somebody acts.
_ERRORS: Final = frozenset({Alarm.SPOOL_DAMAGED, Alarm.SPOOL_FAILED, Alarm.WEBHOOK_STOPPED})


def sound(alarm: Alarm, subject: str, message: str, severity: int = 0) -> None:
    """Log this alarm and send ``alarm_raised``, unless the same was said within a minute.

    ``subject`` is the endpoint, tenant or file that it is about. ``message`` is one sentence,
    without personal data. What is of a higher ``severity`` than the last is said at once.
    """
    now = time.monotonic()
    before, worst = _last.get((alarm, subject), (-QUIET, 0))
    if now - before < QUIET and severity <= worst:
        return
    if len(_last) >= MAX_REMEMBERED:
        _last.clear()
    _last[alarm, subject] = now, severity
    level = logging.ERROR if alarm in _ERRORS else logging.WARNING
    logger.log(level, "%s", message, extra={"alarm": alarm.value, "subject": subject})

    def tell() -> None:
        alarm_raised.send_robust(sender=Alarm, alarm=alarm, subject=subject, message=message)

    _in_background(tell)


def _in_background(tell: Callable[[], None]) -> None:
    """Do not let a delivery wait for whoever is told: SuperOffice gives up after seconds."""

    def run() -> None:
        try:
            tell()
        finally:
            connections.close_all()

    with suppress(RuntimeError):  # no more threads; it is logged at least
        threading.Thread(target=run, name="superoffice_hooks-alarm").start()
