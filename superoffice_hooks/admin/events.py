"""The list of events, and the page of one."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.base import FacetFilter, ReadOnlyAdmin
from superoffice_hooks.admin.parts import render, render_body, render_moment
from superoffice_hooks.models import Event, Outcome
from superoffice_hooks.trail import scope
from superoffice_hooks.trail.changes import telling_changes
from superoffice_hooks.trail.search import matching
from superoffice_hooks.trail.values import shown

SHOWN_FIELDS = 4


class EntityFilter(FacetFilter):
    """By entity."""

    title = _("entity")
    parameter_name = "entity"


class ActionFilter(FacetFilter):
    """By action."""

    title = _("action")
    parameter_name = "action"


class ContextFilter(FacetFilter):
    """By tenant."""

    title = _("context identifier")
    parameter_name = "context_identifier"


class EventAdmin(ReadOnlyAdmin):
    """What happened in SuperOffice, newest first."""

    list_display = (
        "occurred",
        "name",
        "primary_key",
        "what_changed",
        "associate",
        "context",
    )
    list_display_links = ("occurred", "name")
    list_filter = (EntityFilter, ActionFilter, ContextFilter, "occurred_at")
    allowed_lookups = frozenset(
        {"entity", "action", "context_identifier", "occurred_at__gte", "occurred_at__lt"}
    )
    search_fields = ("primary_key", "event_id")
    search_help_text = _("The primary key of a record, or the GUID of an event.")
    sortable_by = ("occurred",)
    unlisted = ("field_values", "properties")
    fieldsets: ClassVar = [
        (
            None,
            {
                "fields": (
                    "name",
                    "entity",
                    "action",
                    "primary_key",
                    "context_identifier",
                    "changed_by_associate_id",
                    "occurred",
                    "received",
                    "webhook_name",
                    "event_id",
                    "flags",
                )
            },
        ),
        (_("Changed fields"), {"fields": ("changes",)}),
        (_("Deleted values"), {"fields": ("values_of_the_deleted_row",)}),
        (_("Field values"), {"fields": ("snapshot", "properties")}),
        (_("Deliveries"), {"fields": ("arrivals", "body")}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Return the events in the user's scope, with the rows that the pages show."""
        return scope.events_for(request.user).with_rows()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave the deliveries out for users who may not view them."""
        if request.user.has_perm("superoffice_hooks.view_delivery"):
            return self.fieldsets
        return [*self.fieldsets[:-1], (_("Delivery"), {"fields": ("body",)})]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look a number up as a primary key and a GUID as an event id."""
        return matching(queryset, search_term) if search_term else queryset, False

    @admin.display(description=_("occurred at"), ordering="occurred_at")
    def occurred(self, event: Event) -> str:
        """When SuperOffice says that it happened, to the second."""
        return render_moment(event.occurred_at)

    @admin.display(description=_("received at"))
    def received(self, event: Event) -> str:
        """When the delivery arrived, to the second."""
        return render_moment(event.received_at)

    @admin.display(description=_("associate"))
    def associate(self, event: Event) -> int:
        """Who did it; a heading that leaves room for the other columns."""
        return event.changed_by_associate_id

    @admin.display(description=_("context"))
    def context(self, event: Event) -> str:
        """The tenant; likewise."""
        return str(event.context_identifier)

    @admin.display(description=_("changed fields"))
    def what_changed(self, event: Event) -> str:
        """The first fields that people changed, and how many others there are."""
        names = telling_changes(event)
        shown_names = names[:SHOWN_FIELDS]
        others = len(event.changed_fields.all()) - len(shown_names)
        return ", ".join(shown_names) + (f" +{others}" if others else "")

    @admin.display(description=_("changed fields"))
    def changes(self, event: Event) -> str:
        """The changed fields in the order of the wire."""
        return render("names", names=[row.name for row in event.changed_fields.all()])

    @admin.display(description=_("values"))
    def values_of_the_deleted_row(self, event: Event) -> str:
        """The deleted values, as sent and decoded."""
        return render(
            "values", values=shown({row.name: row.value for row in event.deleted_values.all()})
        )

    @admin.display(description=_("field values"))
    def snapshot(self, event: Event) -> str:
        """The field values, as sent and decoded."""
        return render("values", values=shown(event.field_values))

    @admin.display(description=_("deliveries"))
    def arrivals(self, event: Event) -> str:
        """The first hundred deliveries: the one that recorded the event, and repetitions."""
        deliveries = event.deliveries.defer("body", "headers").order_by("id")[:100]
        moments = [(delivery, render_moment(delivery.received_at)) for delivery in deliveries]
        return render("deliveries", deliveries=moments)

    @admin.display(description=_("body"))
    def body(self, event: Event) -> str:
        """The bytes that recorded the event."""
        first = event.deliveries.filter(outcome=Outcome.RECORDED).order_by("id").first()
        return render_body(bytes(first.body) if first else None)
