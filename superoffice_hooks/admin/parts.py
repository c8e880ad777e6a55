"""Parts that more than one admin page shows."""

from datetime import UTC, datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from superoffice_hooks.models import Event

MAX_BODY_SHOWN = 64 * 1024  # characters; a page of ten megabytes helps nobody


def render(part: str, **context: Any) -> SafeString:
    """Return the part's template, rendered."""
    return render_to_string(f"superoffice_hooks/admin/{part}.html", context)


def render_body(body: bytes | None) -> SafeString:
    """Return the bytes as text, what is not UTF-8 by a substitute, and how many they are."""
    text = (body or b"").decode("utf-8", "replace")
    return render(
        "body",
        text=text[:MAX_BODY_SHOWN],
        size=len(body or b""),
        cut=len(text) > MAX_BODY_SHOWN,
    )


def render_moment(moment: datetime) -> SafeString:
    """Return the moment in the reader's zone to the second, in UTC on hover."""
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}, {} {}</time>',
        moment.isoformat(),
        f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
        formats.date_format(local, "DATE_FORMAT"),
        formats.time_format(local, "H:i:s"),
        local.tzname(),
    )


def event_link(event: Event | None) -> str:
    """Return a link to the page of this event, or nothing."""
    if event is None:
        return ""
    url = reverse("admin:superoffice_hooks_event_change", args=[event.pk])
    return format_html('<a href="{}">{}</a>', url, event)
