"""A clock that jumps: ten years on and back, over a leap day and the ends of summer time."""

import itertools
import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

JUMPS = (
    timedelta(days=3653),
    timedelta(days=-3653),
    timedelta(days=1),
    timedelta(seconds=-3600),
    datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC),
    timedelta(0),
)


def install(every: float) -> None:
    """Let ``time.time`` and Django's ``now`` tell another time, changed at every so manieth look.

    Two looks in a row may differ by twenty years, in either direction.
    """
    real_time, looks = time.time, itertools.count()

    def shifted() -> float:
        jump = JUMPS[int(next(looks) / every) % len(JUMPS)]
        if isinstance(jump, datetime):
            return jump.timestamp() + real_time() % 2
        return real_time() + jump.total_seconds()

    time.time = shifted
    timezone.now = lambda: datetime.fromtimestamp(shifted(), UTC)
