"""How far a long run is, on the terminal or in a log."""

import shutil
import time

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _

EVERY = 500  # where a line cannot be rewritten, a long run says so often how far it is
REDRAWN = 0.1  # seconds between two looks of a terminal's line


class Progress:
    """Says how much of ``total`` is done, how fast, and how long the rest will take.

    On a terminal it is one line that is written over and over, elsewhere a line for each 500.
    With a verbosity of 0 it says nothing.
    """

    def __init__(self, stdout: OutputWrapper, total: int, verbosity: int = 1) -> None:
        self._stdout, self._total = stdout, total
        self._quiet = verbosity == 0
        self._rewrites = stdout.isatty()
        self._started = time.perf_counter()
        self._done = self._width = 0
        self._shown = 0.0

    def advance(self) -> None:
        """Count one more, and show it where it is time to."""
        self._done += 1
        if self._quiet:
            return
        if not self._rewrites:
            if self._done % EVERY == 0:
                self._stdout.write(self._line())
        elif time.perf_counter() - self._shown > REDRAWN:
            line = self._line()[: shutil.get_terminal_size().columns - 1]
            self._stdout.write("\r" + line.ljust(self._width), ending="")
            self._stdout.flush()
            self._width, self._shown = len(line), time.perf_counter()

    def clear(self) -> None:
        """Leave the line to whoever writes next."""
        if self._width:
            self._stdout.write("\r" + " " * self._width + "\r", ending="")
            self._stdout.flush()
            self._width = 0

    def _line(self) -> str:
        rate = self._done / max(time.perf_counter() - self._started, 1e-6)
        left = round(max(self._total - self._done, 0) / rate)
        return _("%(done)d of %(total)d, %(rate).0f/s, %(left)s left") % {
            "done": self._done,
            "total": self._total,
            "rate": rate,
            "left": f"{left // 60}:{left % 60:02}",
        }
