"""One body, from bytes to a frozen ``Payload``.

``parse`` is the only way in, and ``PayloadError`` the only other way out. Entities and actions
are open sets: SuperOffice adds some every year, extra tables bring their own, and a customer can
raise events of any name.

Source: SuperOffice documentation, "Webhook notifications" and the reference page of each event.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.wire.body import Flag, read_object

MAX_ROWS: Final = 2_000  # changed fields, or deleted values, kept as rows of one event
MAX_TEXT: Final = 255  # characters of a name: three such columns still fit into an index key
INT64: Final = range(-(2**63), 2**63)
TEST_EVENT: Final = "test"
IDENTITY: Final = ("EventId", "ContextIdentifier", "Event", "PrimaryKey")
KNOWN_KEYS: Final = frozenset(
    (
        *IDENTITY,
        "Timestamp",
        "Entity",
        "ChangedByAssociateId",
        "WebhookName",
        "Changes",
        "Values",
        "FieldValues",
    )
)


class Payload(NamedTuple):
    """What one body says, in Python's types and within every database's bounds.

    ``name`` is the wire's Event, split at its last dot into ``entity`` and ``action``.
    ``occurred_at`` is its Timestamp in UTC, to the microsecond; ``fraction`` has all digits of the
    fraction of its second but for zeros at the end, the seventh, 100 ns, too.
    ``event_id`` is ``None`` where the body gives none. ``changes`` keeps the order of the wire
    and names each field once. ``values`` and ``field_values`` map field names to JSON values.
    ``properties`` holds the keys that are not SuperOffice's own. ``flags`` says where the bytes
    hold more than this object does.
    """

    name: str
    entity: str
    action: str
    primary_key: int
    occurred_at: datetime
    fraction: str
    event_id: UUID | None
    context_identifier: str
    changed_by_associate_id: int
    webhook_name: str
    changes: tuple[str, ...]
    values: Mapping[str, Any]
    field_values: Mapping[str, Any]
    properties: Mapping[str, Any]
    flags: tuple[Flag, ...]

    @property
    def is_test(self) -> bool:
        """Whether this is the event that SuperOffice sends when a webhook is registered."""
        return self.name == TEST_EVENT


def parse(body: bytes) -> Payload:
    """Return what these bytes say, or raise ``PayloadError`` with the reason and position.

    Nothing else escapes, whatever the bytes are.
    """
    flags: set[Flag] = set()
    wire = read_object(body, flags, IDENTITY)
    name = _string(wire, "Event")
    if not name:
        raise PayloadError("Event is missing or empty.")
    prefix, dot, action = name.rpartition(".")
    return Payload(
        name=_cut(name, flags),
        entity=_cut(_string(wire, "Entity") or (prefix if dot else name), flags),
        action=_cut(action if dot else "", flags),
        primary_key=_integer(wire, "PrimaryKey"),
        occurred_at=_moment(_string(wire, "Timestamp"), flags),
        fraction=_fraction(_string(wire, "Timestamp")),
        event_id=_event_id(wire),
        context_identifier=_cut(_string(wire, "ContextIdentifier"), flags),
        changed_by_associate_id=_integer(wire, "ChangedByAssociateId", default=0),
        webhook_name=_cut(_string(wire, "WebhookName"), flags),
        changes=tuple(_rows(_strings(wire, "Changes"), flags)),
        values=_rows(_mapping(wire, "Values"), flags),
        field_values=_mapping(wire, "FieldValues"),
        properties={key: value for key, value in wire.items() if key not in KNOWN_KEYS},
        flags=tuple(sorted(flags)),
    )


_GUID = re.compile(
    r"[0-9a-f]{32}|([{(])?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(1)[})])",
    re.ASCII | re.IGNORECASE,
)


def guid(text: str) -> UUID | None:
    """Return the GUID that this text spells in one of .NET's usual forms, else ``None``.

    ``Guid.Empty`` is ``None`` as well: it is .NET's way to give none.
    """
    text = text.strip()
    found = UUID(text.strip("{()}")) if _GUID.fullmatch(text) else None
    return found if found and found.int else None


def _event_id(wire: Mapping[str, Any]) -> UUID | None:
    if wire.get("EventId") is None:
        return None
    text = _string(wire, "EventId")
    if not _GUID.fullmatch(text.strip()):
        raise PayloadError("EventId is not a GUID.")
    return guid(text)


_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)
_FRACTION = re.compile(r"[.,](\d+)", re.ASCII)


def _moment(text: str, flags: set[Flag]) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise PayloadError("Timestamp is missing or not an ISO 8601 date and time.")
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            flags.add(Flag.ASSUMED_UTC)
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PayloadError("Timestamp names a moment that does not exist.") from None
    # At either end of the calendar no page can show the moment in the reader's own zone, and
    # MariaDB's dates begin with the year 1000.
    if not 1000 < moment.year < 9999:
        raise PayloadError("Timestamp is outside the years 1001 to 9998.")
    return moment


def _fraction(text: str) -> str:
    found = _FRACTION.search(text)
    return found[1].rstrip("0") if found else ""


def _cut(text: str, flags: set[Flag]) -> str:
    if len(text) <= MAX_TEXT:
        return text
    flags.add(Flag.LOSSY)
    return f"{text[: MAX_TEXT - 1]}…"


def _rows(named: dict[str, Any] | Iterable[str], flags: set[Flag]) -> dict[str, Any]:
    """Return what becomes one row a name: each name once, in order, cut, and not too many."""
    values = named if isinstance(named, dict) else dict.fromkeys(named)
    if len(values) <= MAX_ROWS and max(map(len, values), default=0) <= MAX_TEXT:
        return values  # as nearly always
    if len(values) > MAX_ROWS:
        flags.add(Flag.CAPPED)
    return {_cut(name, flags): values[name] for name in list(values)[:MAX_ROWS]}


def _string(wire: Mapping[str, Any], key: str) -> str:
    value = wire.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PayloadError(f"{key} is not a string.")
    return value


def _integer(wire: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = wire.get(key)
    if value is None and default is not None:
        return default
    # To Python true is an int, and it is no primary key.
    if not isinstance(value, int) or isinstance(value, bool):
        raise PayloadError(f"{key} is {'missing' if value is None else 'not an integer'}.")
    if value not in INT64:
        raise PayloadError(f"{key} does not fit into 64 bits.")
    return value


def _strings(wire: Mapping[str, Any], key: str) -> list[str]:
    value = wire.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PayloadError(f"{key} is not a list of strings.")
    return value


def _mapping(wire: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = wire.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PayloadError(f"{key} is not an object.")
    return value
