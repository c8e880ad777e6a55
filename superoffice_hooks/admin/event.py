"""The page of one event: what it changed, what it told, and the bytes that brought it."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.body import render_body
from superoffice_hooks.admin.parts import (
    action_label,
    record_link,
    render_moment,
    twin_link,
)
from superoffice_hooks.admin.record import Reader
from superoffice_hooks.admin.values import unturned
from superoffice_hooks.models import Event, Outcome
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.timeline import entry_of
from superoffice_hooks.trail.values import ShownValue, shown

MAX_DELIVERIES = 100  # that one page lists; an event has one, or a few
MAX_TWINS = 100  # likewise

FLAGS = {
    "lossy": _("A text or a number that no column can hold is shown by a visible substitute."),
    "capped": _("More than 2,000 changed fields or deleted values came; the body holds the rest."),
    "duplicate_keys": _("A JSON object named a key twice; the last value counts."),
    "assumed_utc": _("The timestamp had no offset and was taken for UTC."),
    "encoded": _("The body was compressed, or not plain UTF-8."),
}


def parts_of(event: Event, user: Any) -> dict[str, Any]:
    """Return what the page shows, as far as this user may see it."""
    reader, record = Reader(), Record.of(event)
    entry = entry_of(event, user, reader.technical)
    sees_deliveries = user.has_perm("superoffice_hooks.view_delivery")
    return {
        "record": record_link(record),
        "in_superoffice": record.url,
        "action": action_label(event),
        "who": reader.who(event),
        "occurred": render_moment(event.occurred_at),
        "received": render_moment(event.received_at),
        "twin_of": event.twin_of and twin_link(event.twin_of),
        "twins": [] if event.twin_of else [twin_link(twin) for twin in entry.twins[:MAX_TWINS]],
        "flags": [FLAGS.get(flag, flag) for flag in event.flags],
        "changes": reader.changes(entry),
        "gaps": [reader.gap(gap) for gap in entry.gaps],
        "deleted": _shown({row.name: row.value for row in event.deleted_values.all()}),
        "told": _shown(event.field_values),
        "properties": _shown(event.properties),
        "deliveries": _deliveries(event) if sees_deliveries else None,
        "body": _body(event),
    }


def _shown(values: Mapping[str, Any]) -> list[ShownValue]:
    """Return the values, with nothing in them that turns the text of the page round."""
    return [
        value._replace(
            name=unturned(value.name),
            sent=unturned(value.sent),
            meaning=value.meaning and unturned(value.meaning),
        )
        for value in shown(values)
    ]


def _deliveries(event: Event) -> list[tuple[Any, str]]:
    """Return the first deliveries: the one that recorded the event, and repetitions."""
    deliveries = event.deliveries.defer("body", "headers").order_by("id")[:MAX_DELIVERIES]
    return [(delivery, render_moment(delivery.received_at)) for delivery in deliveries]


def _body(event: Event) -> str:
    """Return the bytes that recorded the event."""
    first = event.deliveries.filter(outcome=Outcome.RECORDED).order_by("id").first()
    return render_body(bytes(first.body) if first else None)
