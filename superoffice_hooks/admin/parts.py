"""Parts that more than one admin page shows."""

from datetime import UTC, datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from superoffice_hooks.models import Event
from superoffice_hooks.trail.people import Associate
from superoffice_hooks.trail.record import Record


def render(part: str, **context: Any) -> SafeString:
    """Return the part's template, rendered."""
    return render_to_string(f"superoffice_hooks/admin/{part}.html", context)


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


def twin_link(event: Event) -> SafeString:
    """Return a link to an event that tells a change again: its id, and the webhook it came from."""
    url = reverse("admin:superoffice_hooks_event_change", args=[event.pk])
    link = format_html('<a href="{}">{}</a>', url, event.event_id)
    if not event.webhook_name:
        return link
    name = format_html("<bdi>{}</bdi>", event.webhook_name)
    return format_html(_("{id} (webhook {name})"), id=link, name=name)


def record_url(record: Record, view: str = "record") -> str:
    """Return the address of the page of this record, or of what happened around it."""
    query = {
        "context_identifier": record.context_identifier,
        "entity": record.entity,
        "primary_key": record.primary_key,
    }
    return reverse(f"admin:superoffice_hooks_event_{view}", query=query)


def record_link(record: Record, text: str | None = None) -> SafeString:
    """Return a link to the page of this record."""
    return format_html('<a href="{}">{}</a>', record_url(record), text or record)


def associate_label(associate: Associate) -> SafeString:
    """Return the name of the associate, or the number where no name is known."""
    if associate.is_system:
        return format_html("{}", _("the system"))
    name = f"{associate.name} #{associate.associate_id}"
    if not associate.name:
        name = _("associate %(id)s") % {"id": associate.associate_id}
    if not associate.is_integration:
        return format_html("{}", name)
    return format_html('{} <span class="so-badge">{}</span>', name, _("integration"))


ACTIONS = {
    "created": gettext_lazy("created"),
    "changed": gettext_lazy("changed"),
    "deleted": gettext_lazy("deleted for good"),
    "softdeleted": gettext_lazy("soft-deleted"),
    "completed": gettext_lazy("completed"),
    "lost": gettext_lazy("lost"),
    "sold": gettext_lazy("sold"),
    "edited": gettext_lazy("edited"),
    "message": gettext_lazy("message"),
    "consented": gettext_lazy("consented"),
    "unconsented": gettext_lazy("consent withdrawn"),
    "approved": gettext_lazy("approved"),
    "rejected": gettext_lazy("rejected"),
    "sent": gettext_lazy("sent"),
    "ordered": gettext_lazy("ordered"),
    "started": gettext_lazy("started"),
    "stopped": gettext_lazy("stopped"),
    "errors": gettext_lazy("switched off after errors"),
}


def action_label(event: Event) -> str:
    """Return what happened in the reader's language; what is not known as SuperOffice named it."""
    return str(ACTIONS.get(event.action) or event.action or event.name)


def event_time(event: Event) -> SafeString:
    """Return when the event happened, as a link to its page."""
    url = reverse("admin:superoffice_hooks_event_change", args=[event.pk])
    return format_html('<a href="{}">{}</a>', url, render_moment(event.occurred_at))
