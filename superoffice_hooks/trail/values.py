"""How the values of an event are shown: as they were sent, and what they mean."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from superoffice_hooks.wire.values import decode, is_encoded

MAX_SHOWN = 4_000  # characters of one value; the body has the rest


@dataclass(frozen=True, slots=True)
class ShownValue:
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
