"""One thing that the doctor found."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; the worst is the exit code of ``superoffice_doctor``."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in one English sentence without personal data, and what to type next."""

    level: Level
    what: str
    next: str = ""

    def __str__(self) -> str:
        """``warning  3 deliveries wait in the spool.  → Type: python manage.py …``."""
        line = f"{self.level.name.lower():7}  {self.what}"
        return f"{line}  → {self.next}" if self.next else line


def ok(what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, what)


def warning(what: str, next: str) -> Finding:
    """Return what may cost deliveries."""
    return Finding(Level.WARNING, what, next)


def error(what: str, next: str) -> Finding:
    """Return what costs deliveries, or has done so."""
    return Finding(Level.ERROR, what, next)
