"""The list of events."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.base import TrailList
from superoffice_hooks.admin.filters import (
    AssociateFilter,
    ChangedFieldFilter,
    FacetFilter,
    MomentRangeFilter,
)
from superoffice_hooks.admin.parts import (
    ACTIONS,
    associate_label,
    record_link,
    render_moment,
)
from superoffice_hooks.admin.rebuild import RebuildAction
from superoffice_hooks.admin.values import label_of
from superoffice_hooks.models import Event
from superoffice_hooks.trail import scope
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.people import Associate, People
from superoffice_hooks.trail.record import TITLES, Record
from superoffice_hooks.trail.search import Kind, Reading, read
from superoffice_hooks.wire.catalog import STARTED, STOPPING, links

SHOWN_FIELDS = 4  # names or records in one cell of the list

READ_AS: dict[Kind, Any] = {
    Kind.GUID: _("Events with the id {value}."),
    Kind.NUMBER: _("Events of every record with the number {value}."),
    Kind.RECORD: _("Events of {value}."),
    Kind.CONTEXT: _("Events of the tenant {value}."),
    Kind.NAME: _("Events named {value}."),
    Kind.ENTITY: _("Events of the entity {value}."),
    Kind.ACTION: _("Events with the action {value}."),
    Kind.WEBHOOK: _("Events that the webhook {value} sent."),
    Kind.FIELD: _("Events that changed the field {value}."),
}

TWINS_TOO = (Kind.GUID, Kind.WEBHOOK)  # what is looked for by these may be a twin

NOTHING_FOUND = _(
    "Nothing is found by this text: the trail cannot be searched by what stands "
    "in its values. Search for a record (contact:994863), the number of a record "
    "(994863), the id of an event, or the name of a tenant, an event, an entity, "
    "an action, a webhook or a changed field."
)


class EntityFilter(FacetFilter):
    """By entity."""

    title = _("entity")
    parameter_name = "entity"


class ActionFilter(FacetFilter):
    """By action; what was deleted, in either way, is one choice."""

    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices, the known actions in the reader's language, by their names."""
        named = [
            (value, ACTIONS.get(value, label))
            for value, label in super().lookups(request, model_admin)
        ]
        return sorted(named, key=lambda choice: str(choice[1]))

    def combinations(self) -> list[list[str]]:
        """Offer both kinds of deletion together, and when webhooks were off and on."""
        deletions: list[str] = [
            action for action in ("softdeleted", "deleted") if action in self.labels
        ]
        states = [action for action in (*STOPPING, STARTED) if action in self.labels]
        return [actions for actions in (deletions, states) if len(actions) > 1]


class ContextFilter(FacetFilter):
    """By tenant."""

    title = _("context identifier")
    parameter_name = "context_identifier"


class WebhookFilter(FacetFilter):
    """By the webhook that sent the event."""

    title = _("webhook")
    parameter_name = "webhook_name"


class OccurredFilter(MomentRangeFilter):
    """By when it happened."""

    title = _("time")
    field_path = "occurred_at"


class Row(NamedTuple):
    """What the list shows of an event beside its columns."""

    associate: Associate
    others_by_associate: str
    changes: str
    title: str


class EventList(TrailList):
    """A page of events; the site is asked once for each person on it."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the events, and find out what the columns show of them."""
        super().get_results(request)
        people, technical = People(), Technical()
        self.result_list = list(self.result_list)
        rows = Event.objects.filter(pk__in=[event.pk for event in self.result_list]).order_by()
        named = rows.values_list("pk", *(KeyTransform(field, "field_values") for field in TITLES))
        titles = {pk: label_of(dict(zip(TITLES, names, strict=True))) for pk, *names in named}
        for event in self.result_list:
            associate = people(event.context_identifier, event.changed_by_associate_id)
            others: dict[str, str | int] = {
                AssociateFilter.parameter_name: associate.associate_id,
                ContextFilter.parameter_name: associate.context_identifier,
            }
            words = in_a_few_words(event, technical)
            title = titles.get(event.pk, "")
            event.row = Row(associate, f"?{urlencode(others)}", words, title)

    def names_of_associates(self) -> list[str]:
        """Return the names of those who caused the events of this page, as far as known."""
        people = {_row(event).associate for event in self.result_list}
        several = len({associate.context_identifier for associate in people}) > 1
        return sorted(
            f"{associate.name} ({associate.context_identifier})" if several else associate.name
            for associate in people
            if associate.name
        )


def in_a_few_words(event: Event, technical: Technical) -> SafeString:
    """Return in a few words what the event says of the record."""
    telling = technical.telling(event)
    others = len(event.changed_fields.all()) - len(telling)
    parts = [_few(telling)] if telling else []
    if others:
        if telling:
            text = ngettext("+%(count)s technical", "+%(count)s technical", others)
        else:
            text = gettext("technical only (+%(count)s)")
        parts.append(_quiet(text % {"count": others}))
    values = {row.name: row.value for row in event.deleted_values.all()}
    if values:
        held = [
            record_link(Record.of(event).sibling(*linked))
            for field, linked in links(values).items()
            if not technical(event.entity, field)
        ]
        count = ngettext("%(count)s value", "%(count)s values", len(values))
        text = _few(held) or count % {"count": len(values)}
        parts.append(format_html("{} {}", gettext("held"), text))
    return format_html_join(" ", "{}", ((part,) for part in parts))


def _few(items: Sequence[str]) -> SafeString:
    shown = format_html_join(", ", "{}", ((item,) for item in items[:SHOWN_FIELDS]))
    rest = len(items) - SHOWN_FIELDS
    if rest <= 0:
        return shown
    return format_html("{}, … {}", shown, _quiet(gettext("+%(count)s more") % {"count": rest}))


def _quiet(text: str) -> SafeString:
    return format_html('<span class="so-quiet">{}</span>', text)


class EventAdmin(RebuildAction):
    """What happened in SuperOffice, newest first."""

    list_display = ("occurred", "its_name", "its_record", "what_changed", "who", "context")
    list_display_links = ("occurred",)
    list_filter = (
        OccurredFilter,
        EntityFilter,
        ActionFilter,
        ChangedFieldFilter,
        AssociateFilter,
        ContextFilter,
        WebhookFilter,
    )
    search_fields = ("primary_key",)  # that there is a search; get_search_results does it
    search_help_text = _(
        "A record (contact:994863 or its number), an event's id, or the name of a tenant, an "
        "event, an entity, an action, a webhook or a field."
    )
    sortable_by = ("occurred",)
    unlisted = ("field_values", "properties")
    fieldsets = ()

    # The pages of one event and of one record read most of the trail, and import it when they are
    # first asked for: nothing else of a start needs it.

    def get_urls(self) -> list[Any]:
        """Return the record's pages before the admin's own, which would take them for an id."""
        view = self.admin_site.admin_view
        return [
            path("record/", view(self.record_view), name="superoffice_hooks_event_record"),
            path("related/", view(self.related_view), name="superoffice_hooks_event_related"),
            *super().get_urls(),
        ]

    def record_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the timeline of one record."""
        from superoffice_hooks.admin.record import RecordPages

        return RecordPages(self).record_view(request)

    def related_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the events of other records that name this one."""
        from superoffice_hooks.admin.record import RecordPages

        return RecordPages(self).related_view(request)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer with the event's own parts in the place of a form."""
        from superoffice_hooks.admin.event import parts_of

        parts = parts_of(context["original"], request.user)
        return super().render_change_form(request, context | parts, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Return the events in the user's scope, with the rows that the pages show."""
        return scope.events_for(request.user).with_rows()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Keep what the term looks for, and say above the list how it was read.

        The list shows each change once, unless it is of one webhook or of what has one id. An
        action does to all what the list was narrowed to: an export drops nothing.
        """
        is_list = request.method != "POST"  # an action answers no page that could say it
        reading = read(search_term, request.user) if search_term.strip() else None
        twins_too = WebhookFilter.parameter_name in request.GET or (
            reading is not None and reading.kind in TWINS_TOO
        )
        if is_list and not twins_too:
            queryset = queryset.once()
        if not search_term.strip():
            return queryset, False
        if is_list:
            if reading is None:
                messages.warning(request, NOTHING_FOUND)
            else:
                messages.info(request, read_as(reading))
        return (queryset.none() if reading is None else reading.select(queryset)), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TrailList]:
        """Return the class of the list."""
        return EventList

    @admin.display(description=_("occurred at"), ordering="occurred_at")
    def occurred(self, event: Event) -> str:
        """When SuperOffice says that it happened, to the second."""
        return render_moment(event.occurred_at)

    @admin.display(description=_("event"))
    def its_name(self, event: Event) -> str:
        """What happened, to be broken at its dots where the column is narrow."""
        return format_html_join(
            mark_safe(".<wbr>"), "{}", ((part,) for part in event.name.split("."))
        )

    @admin.display(description=_("record"))
    def its_record(self, event: Event) -> str:
        """A link to all that happened to the record, and what the event calls it."""
        link, title = record_link(Record.of(event)), _row(event).title
        return format_html("{} {}", link, _quiet(title)) if title else link

    @admin.display(description=_("what changed"))
    def what_changed(self, event: Event) -> str:
        """What the event says of the record, in a few words."""
        return _row(event).changes

    @admin.display(description=_("who"))
    def who(self, event: Event) -> str:
        """Who did it, with a link to what else they did."""
        row = _row(event)
        return format_html(
            '<a href="{}">{}</a>', row.others_by_associate, associate_label(row.associate)
        )

    @admin.display(description=_("context"))
    def context(self, event: Event) -> str:
        """The tenant; likewise."""
        return str(event.context_identifier)


def read_as(reading: Reading) -> SafeString:
    """Return in a sentence how a search was read, with a link to the record where it is one."""
    if reading.record is None:
        return format_html(str(READ_AS[reading.kind]), value=reading.value)
    return format_html(
        gettext("Events of {record} of the tenant {tenant}."),
        record=record_link(reading.record),
        tenant=reading.record.context_identifier or _("(empty)"),
    )


def _row(event: Event) -> Row:
    row: Row = event.row  # type: ignore[attr-defined]  # put there by EventList
    return row
