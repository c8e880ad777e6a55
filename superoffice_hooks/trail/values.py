"""How the values of an event are shown: as they were sent, and what they mean."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from superoffice_hooks.wire.values import decode, is_encoded

# No two places are further apart than twice 14 hours, and every zone is whole quarters from UTC.
ZONES, QUARTER = timedelta(hours=14), timedelta(minutes=15)
MAX_SHOWN = 4_000  # characters of one value; the body has the rest

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)


class ShownValue(NamedTuple):
    """One field of an event: ``sent`` is its JSON text, ``meaning`` what an encoded one decodes to.

    ``meaning`` is ``None`` where the value speaks for itself.
    """

    name: str
    sent: str
    meaning: str | None


def shown(values: Mapping[str, Any]) -> list[ShownValue]:
    """Return the values of an event for a reader, in the order of their names."""
    return [
        ShownValue(
            name,
            _cut(json.dumps(value, ensure_ascii=False)),
            _text(decode(value)) if is_encoded(value) else None,
        )
        for name, value in sorted(values.items())
    ]


def same_value(one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same, or may mean it.

    A row of an extra table tells its values encoded, and plain when it is deleted: ``[M:5.00]`` is
    5.0, a moment that is told without its fraction of a second is the same moment, and no value,
    an empty text and the empty date are all empty. A moment may be told with its offset in one
    snapshot and by the local clock, without one, in the next: whatever zone that may be is the
    same.
    """
    one, other = _comparable(one), _comparable(other)
    if not isinstance(one, datetime) or not isinstance(other, datetime):
        return bool(one == other)
    if not one.microsecond or not other.microsecond:
        one, other = one.replace(microsecond=0), other.replace(microsecond=0)
    if (one.tzinfo is None) is (other.tzinfo is None):
        return bool(one == other)
    apart = one.replace(tzinfo=None) - other.replace(tzinfo=None)
    return bool(abs(apart) <= 2 * ZONES and apart % QUARTER == timedelta())


def _comparable(value: Any) -> Any:
    value = decode(value)
    if value == "":
        return None
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, str) and _MOMENT.match(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _text(value: Any) -> str:
    """Return a decoded value as text: ISO 8601 for times, nothing for the empty date."""
    if value is None:
        return ""
    if isinstance(value, datetime | date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
