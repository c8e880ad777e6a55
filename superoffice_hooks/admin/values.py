"""One value of a field, as a reader sees it."""

import json
import re
from collections import ChainMap
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from superoffice_hooks.admin.parts import record_link, render_moment
from superoffice_hooks.trail.people import People
from superoffice_hooks.trail.record import Record, title_of
from superoffice_hooks.wire.catalog import linked_ends, linked_record
from superoffice_hooks.wire.values import decode, is_encoded

if TYPE_CHECKING:  # no start needs it
    from superoffice_hooks.trail.history import Told

MAX_DIGITS = range(-15, 16)  # before and behind the point; others keep their exponent
MAX_TEXT = 300  # characters; the page of the event has more, the body all

# Controls that turn the text around them round are shown as what they are.
_TURNING = {
    code: f"[U+{code:04X}]"
    for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"


def render_told(
    name: str, told: "Told", record: Record, people: People | None = None
) -> SafeString:
    """Return the value that an event's snapshot told of a field of this record."""
    return render_value(name, told.value, record, told.event.field_values, people)


def render_value(
    name: str,
    value: Any,
    record: Record,
    beside: dict[str, Any] | None = None,
    people: People | None = None,
) -> SafeString:
    """Return the value decoded, in the reader's language, an id as a link to its record.

    ``beside`` are the values that were told with it: the ends of a relation need their tables.
    ``people`` name the associates. Where decoding changed the value, it is there as it was sent on
    hover.
    """
    # Not the links of all of them: that would be asked again for each.
    ends = linked_ends(ChainMap({name: value}, beside or {}))
    target = linked_record(name, value) or ends.get(name)
    if target is not None and target != (record.entity, record.primary_key):
        linked = record.sibling(*target)
        if people is None or linked.entity != "associate":
            return record_link(linked)
        named = people(linked.context_identifier, linked.primary_key).name
        return record_link(linked, f"{named} #{linked.primary_key}" if named else None)
    shown = _meaning(decode(value))
    if is_encoded(value):
        return format_html('<span title="{}">{}</span>', _cut(value), shown)
    return shown


def _meaning(value: Any) -> SafeString:
    if value is None or value == "":
        return format_html("<em>{}</em>", _("empty"))
    if isinstance(value, bool):
        return format_html("{}", _("yes") if value else _("no"))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime | date | time):
        return format_html("{}", _localised(value))
    if isinstance(value, bytes):
        return _text(value.hex(" "))
    if isinstance(value, list | dict):
        return format_html("<code>{}</code>", _text(json.dumps(value, ensure_ascii=False)))
    if isinstance(value, float | Decimal) and Decimal(value).adjusted() in MAX_DIGITS:
        return format_html("{}", formats.number_format(value))
    return format_html("{}", str(value))


def _text(text: str) -> SafeString:
    if re.fullmatch(_MOMENT, text, re.ASCII):
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return render_moment(moment)
            shown = _localised(moment)
            if moment.time() == time():
                return format_html('<span title="{}">{}</span>', text, shown)
            zone = _("no time zone sent")
            return format_html('<span title="{}">{} <small>{}</small></span>', text, shown, zone)
        except (ValueError, OverflowError):
            pass
    return format_html("{}", _cut(text))


def label_of(values: Mapping[str, Any]) -> str:
    """Return what people call the record that has these values, to be shown; or nothing."""
    return unturned(title_of(values))


def unturned(text: str) -> str:
    """Return the text with the controls that turn its direction shown as ``[U+202E]``."""
    return text.translate(_TURNING)


def _cut(text: str) -> str:
    text = unturned(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _localised(value: datetime | date | time) -> str:
    """Return a time without zone as it is: the wire does not say whose clock it was."""
    if isinstance(value, time):
        return formats.time_format(value, "H:i:s")
    day = formats.date_format(value, "DATE_FORMAT")
    if isinstance(value, datetime) and value.time() != time():
        return f"{day}, {formats.time_format(value.time(), 'H:i:s')}"
    return day
