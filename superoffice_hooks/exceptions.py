"""What can go wrong with one delivery.

::

    DeliveryError
    ├── BodyError          the body did not arrive whole, or is larger than allowed
    ├── SignatureError     nothing proves that SuperOffice sent it
    └── PayloadError       it is genuine, and cannot be read as an event
"""

import re


class DeliveryError(Exception):
    """One delivery could not be taken as it came; the text says why and is safe to show."""


class BodyError(DeliveryError):
    """The bytes on the connection are not the body that was announced or allowed.

    ``status`` is the HTTP status that tells the sender: 400 or 413.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class SignatureError(DeliveryError):
    """The signature is missing, or no active secret of the endpoint gives it for these bytes."""


class PayloadError(DeliveryError):
    """A genuine body does not hold an event that can be recorded.

    ``reason`` says in one sentence what is wrong and with which key. ``position`` is the offset
    of the offending character, or of the first byte that is none; ``None`` where no one place can
    be named.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (at character {position})")
        self.reason = reason
        self.position = position


def in_short(error: Exception) -> str:
    """Return an error's type and first line, without what it quotes: fit for a log.

    Databases quote the values that they refuse, and more of them on the lines after the first.
    """
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__} {re.sub(_QUOTED, '…', line)}".strip()


_QUOTED = r"""(["']).*\1"""
