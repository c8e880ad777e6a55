"""The pages of one record: its timeline, and what happened around it."""

import re
import sys
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from superoffice_hooks.admin.base import ReadOnlyAdmin
from superoffice_hooks.admin.parts import (
    action_label,
    associate_label,
    event_time,
    record_link,
    record_url,
    render,
    twin_link,
)
from superoffice_hooks.admin.values import label_of, render_told, render_value
from superoffice_hooks.models import Event
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.dossier import Dossier, dossier
from superoffice_hooks.trail.history import CREATED, Entry, FieldChange, Gap, Provenance
from superoffice_hooks.trail.outages import Outage
from superoffice_hooks.trail.people import People
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.related import related
from superoffice_hooks.trail.scope import contexts_for
from superoffice_hooks.trail.timeline import REACH, Timeline, timeline

MAX_CHANGES = 100  # fields of one event in a timeline; its own page has all
LABELLING = 10  # newest events, in which the record's name is looked for
MAX_TWINS = 10  # that one entry names; the page of the event has more
MAX_AFTER = 20  # events after a deletion that the dossier lists; the timeline has all


class Reader:
    """Writes the parts of a record's pages for one request."""

    def __init__(self) -> None:
        self.technical = Technical()
        self.people = People()
        self.times: dict[int, SafeString] = {}

    def time(self, event: Event) -> SafeString:
        """Return when the event happened, as a link to its page; of one event it is made once."""
        if event.pk not in self.times:
            self.times[event.pk] = event_time(event)
        return self.times[event.pk]

    def who(self, event: Event) -> SafeString:
        """Return who did it, with a link to what else they did."""
        associate = self.people(event.context_identifier, event.changed_by_associate_id)
        deeds = _deeds(Record(associate.context_identifier, "associate", associate.associate_id))
        return format_html('<a href="{}">{}</a>', deeds, associate_label(associate))

    def items(self, page: Timeline) -> list[SafeString]:
        """Return entries, gaps and outages of a timeline, newest first."""
        return [self._item(item) for item in page]

    def _item(self, item: Entry | Gap | Outage) -> SafeString:
        if isinstance(item, Entry):
            return self.entry(item)
        if isinstance(item, Gap):
            return self.gap(item)
        return render(
            "record/outage",
            webhook=item.stopped.webhook_name or item.stopped.entity,
            stopped=self.time(item.stopped),
            started=item.started and self.time(item.started),
        )

    def entry(self, entry: Entry) -> SafeString:
        """Return one event: who did what, and its changes."""
        event = entry.event
        return render(
            "record/entry",
            event=event,
            is_undelete=entry.is_undelete,
            time=self.time(event),
            action=action_label(event),
            who=self.who(event),
            changes=self.changes(entry, MAX_CHANGES),
            deleted=self.deleted_values(event),
            twins=[twin_link(twin) for twin in entry.twins[:MAX_TWINS]],
            more_twins=max(0, len(entry.twins) - MAX_TWINS),
        )

    def changes(self, entry: Entry, most: int = sys.maxsize) -> SafeString:
        """Return the changed fields from before to after, the technical ones folded.

        At most ``most`` of either are shown, and how many more there are.
        """
        event = entry.event
        told: list[FieldChange] = []
        folded: list[FieldChange] = []
        for change in entry.changes:
            (folded if self.technical(event.entity, change.name) else told).append(change)
        is_new = event.action == CREATED and all(change.before is None for change in told)
        more = max(0, len(told) - most) + max(0, len(folded) - most)
        told, technical = told[:most], len(folded)
        return render(
            "record/changes",
            event=event,
            told=self._rows(event, told, _only_source(told) is not None),
            folded=self._rows(event, folded[:most]),
            technical=technical,
            more=more,
            unsent=[change.name for change in told if change.after is None] if is_new else [],
            is_new=is_new,
            source=_only_source(told),
            reach=REACH,
        )

    def _rows(
        self, event: Event, changes: Iterable[FieldChange], is_one_source: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of a table; one source of all values is named beside it, if at all."""
        record = Record.of(event)
        return [
            {
                "name": change.name,
                "before": change.before
                and render_told(change.name, change.before, record, self.people),
                "after": change.after
                and render_told(change.name, change.after, record, self.people),
                "provenance": change.provenance.value,
                "by": None
                if change.by is None or (is_one_source and change.provenance == Provenance.DERIVED)
                else self.time(change.by),
                "is_same": change.is_same,
            }
            for change in changes
        ]

    def gap(self, gap: Gap) -> SafeString:
        """Return a gap, with the values that moved."""
        return render(
            "record/gap",
            gap=gap,
            since=gap.since and self.time(gap.since),
            until=self.time(gap.until),
            rows=self._rows(gap.until, gap.moved, _only_source(gap.moved) is not None),
            names_nothing=not gap.until.changed_fields.all(),
        )

    def deleted_values(self, event: Event) -> list[tuple[str, SafeString]]:
        """Return the values of the row that this event deleted."""
        values = {row.name: row.value for row in event.deleted_values.all()}
        record = Record.of(event)
        return [
            (name, render_value(name, value, record, values, self.people))
            for name, value in values.items()
        ]

    def snapshot(self, event: Event) -> list[tuple[str, SafeString]]:
        """Return the values that this event told."""
        values, record = event.field_values, Record.of(event)
        return [
            (name, render_value(name, values[name], record, values, self.people))
            for name in sorted(values)
        ]

    def dossier(self, found: Dossier | None) -> SafeString:
        """Return the dossier of a deletion; nothing where there was none."""
        if found is None:
            return SafeString("")
        return render(
            "record/dossier",
            dossier=found,
            steps=[
                {
                    "time": self.time(step.event),
                    "what": _("brought back") if step.is_undelete else action_label(step.event),
                    "who": self.who(step.event),
                }
                for step in found.steps
            ],
            deleted=self.deleted_values(found.deleted) if found.deleted else [],
            snapshot=self.snapshot(found.snapshot) if found.snapshot else [],
            told_at=found.snapshot and self.time(found.snapshot),
            after=[
                {
                    "time": self.time(entry.event),
                    "what": action_label(entry.event),
                    "who": self.who(entry.event),
                }
                for entry in found.after[:MAX_AFTER]
            ],
            more_after=max(0, len(found.after) - MAX_AFTER),
        )


class RecordPages:
    """The pages of one record, in an admin of events."""

    def __init__(self, model_admin: ReadOnlyAdmin) -> None:
        self.model_admin = model_admin

    def record_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the timeline of one record, or 404 where the user can see nothing of it."""
        record, before = self._asked(request)
        reader = Reader()
        page = timeline(record, request.user, reader.technical, before)
        if page is None and before is not None:  # there is nothing as old
            return HttpResponseRedirect(record_url(record))
        if page is None:  # it may be older than the trail, and others name it
            return self.related_view(request)
        found = dossier(record, request.user, page.milestones, reader.technical)
        snapshot = page.snapshot if before is None else None
        return self._respond(
            request,
            "record",
            record,
            label=_label(record, [entry.event for entry in page.entries], reader),
            page=page,
            items=reader.items(page),
            dossier=reader.dossier(found),
            snapshot=reader.snapshot(snapshot) if snapshot else [],
            told_at=snapshot and reader.time(snapshot),
            older=page.older and f"{record_url(record)}&{_before(page.older)}",
            newest=before and record_url(record),
        )

    def related_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the events of other records that name this one."""
        record, before = self._asked(request)
        entity = request.GET.get("of")
        if entity is not None and "\0" in entity:
            raise Http404
        page = related(record, request.user, entity, before)
        newest = record.events(request.user).defer("properties")
        has_events = newest.exists()
        # An associate is named by every event, and most of them have none of their own.
        if not page.entities and not has_events and record.entity != "associate":
            raise Http404(_("The trail holds nothing of this record."))
        reader = Reader()
        here = record_url(record, "related")
        chosen = here if entity is None else f"{here}&{_query(of=entity)}"
        return self._respond(
            request,
            "related",
            record,
            label=_label(record, newest[:LABELLING], reader),
            has_events=has_events,
            mentions=[
                {
                    "event": mention.event,
                    "time": reader.time(mention.event),
                    "record": record_link(Record.of(mention.event)),
                    "action": action_label(mention.event),
                    "who": reader.who(mention.event),
                    "telling": reader.technical.telling(mention.event),
                    "title": label_of(mention.event.field_values),
                    "fields": mention.fields,
                    "tied": mention.tied and record_link(mention.tied),
                }
                for mention in page.mentions
            ],
            entities=[
                (name, f"{here}&{_query(of=name)}", name == entity) for name in page.entities
            ],
            everything=here,
            entity=entity,
            older=page.older and f"{chosen}&{_before(page.older)}",
            newest=before and chosen,
        )

    def _asked(self, request: HttpRequest) -> tuple[Record, Place | None]:
        """Return the record and the place that the URL names, or answer 404."""
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        context, entity, key = (
            request.GET.get(name, "") for name in ("context_identifier", "entity", "primary_key")
        )
        contexts = contexts_for(request.user)
        if (contexts is not None and context not in contexts) or "\0" in context + entity:
            raise Http404
        try:
            before = Place.read(request.GET["before"]) if "before" in request.GET else None
            # Python reads more digits for a number than SuperOffice writes.
            number = int(key) if re.fullmatch(r"-?[0-9]{1,19}", key) else None
        except (ValueError, OverflowError):
            raise Http404 from None
        if number is None or not -(2**63) <= number < 2**63:
            raise Http404
        return Record(context, entity, number), before

    def _respond(
        self,
        request: HttpRequest,
        view: str,
        record: Record,
        label: str,
        has_events: bool = True,
        **context: Any,
    ) -> HttpResponse:
        tabs = [(_("Around this record"), record_url(record, "related"), view == "related")]
        if has_events:
            tabs.insert(0, (_("Timeline"), record_url(record), view == "record"))
        return TemplateResponse(
            request,
            f"superoffice_hooks/admin/{view}.html",
            {
                **self.model_admin.admin_site.each_context(request),
                "opts": self.model_admin.opts,
                "title": f"{record} · {label}" if label else str(record),
                "record": record,
                "label": label,
                "tabs": tabs,
                "has_events": has_events,
                "deeds": _deeds(record),
                "in_superoffice": record.url,
                "listed": _listed(record),
                **context,
            },
        )


def _only_source(changes: Iterable[FieldChange]) -> SafeString | None:
    """Return the time of the one event from which all known values before are derived."""
    sources = {change.by.pk: change.by for change in changes if change.before and change.by}
    return event_time(next(iter(sources.values()))) if len(sources) == 1 else None


def _label(record: Record, events: Iterable[Event], reader: Reader) -> str:
    """Return what people call the record: an associate by name, others by the newest snapshot."""
    if record.entity == "associate":
        return reader.people(record.context_identifier, record.primary_key).name or ""
    return next((label for event in events if (label := label_of(event.field_values))), "")


def _deeds(record: Record) -> str | None:
    """Return the address of the list of what this associate did, where the record is one."""
    if record.entity != "associate":
        return None
    query = {
        "context_identifier": record.context_identifier,
        "changed_by_associate_id": record.primary_key,
    }
    return reverse("admin:superoffice_hooks_event_changelist", query=query)


def _listed(record: Record) -> str:
    """Return the address of the list of this record's events."""
    query = {
        "context_identifier": record.context_identifier,
        "entity": record.entity,
        "q": str(record.primary_key),
    }
    return reverse("admin:superoffice_hooks_event_changelist", query=query)


def _before(place: Place) -> str:
    return _query(before=str(place))


def _query(**parameters: str) -> str:
    return urlencode(parameters)
