"""One value of a field, from the way SuperOffice writes it to Python's own type.

Rows of extra tables (``y_*``) send *encoded* strings such as ``[I:123]``; all others send plain
JSON. A string that is not encoded is a string, whatever it looks like. Nothing here raises: a
value that only resembles an encoding is returned as it came.

Source: SuperOffice documentation, "Extra table events", and the culture-neutral encoding of its
web services.
"""

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

EMPTY_DATE: Final = "0001-01-01T00:00:00"

_ENCODED = re.compile(r"\[(TS|DT|[IFMDTAB]):(.*)\]", re.DOTALL)


def decode(value: Any) -> Any:
    """Return what this JSON value of a field means; never raises.

    ``[I:6]`` and ``[TS:500]`` are ``int`` (the unit of a time span is not documented), ``[F:…]``
    and ``[M:…]`` ``Decimal``, ``[D:…]`` ``date``, ``[DT:…]`` ``datetime`` without zone,
    ``[T:…]`` ``time``, ``[A:…]`` a list of ``int``, ``[B:…]`` ``bytes``. The empty date, in
    either form, is ``None``. Everything else is returned unchanged.
    """
    if not isinstance(value, str):
        return value
    if value == EMPTY_DATE:
        return None
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    kind, text = encoded.groups()
    try:
        return _DECODERS[kind](text)
    except (ValueError, ArithmeticError):
        return value


def is_encoded(value: Any) -> bool:
    """Whether ``decode`` tells more about this value than the value itself does."""
    return isinstance(value, str) and decode(value) is not value


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _date(text: str) -> date | None:
    # With dots the day comes first, with slashes the month.
    day = datetime.strptime(text, "%d.%m.%Y" if "." in text else "%m/%d/%Y").date()
    return None if day == date.min else day


def _datetime(text: str) -> datetime | None:
    seconds, _, fraction = text.partition(".")
    moment = datetime.strptime(seconds, "%m/%d/%Y %H:%M:%S")
    # The seventh digit, 100 ns, is more than a datetime holds.
    moment = moment.replace(microsecond=int(f"{fraction:0<6}"[:6]))
    return None if moment == datetime.min else moment


_DECODERS: Final[dict[str, Callable[[str], Any]]] = {
    "I": int,
    "F": _decimal,
    "M": _decimal,
    "D": _date,
    "DT": _datetime,
    "T": time.fromisoformat,
    "TS": int,
    "A": lambda text: [int(item) for item in text.split(",")] if text else [],
    "B": lambda text: base64.b64decode(text, validate=True),
}
