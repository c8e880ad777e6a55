"""The list of deliveries, and the page of one."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.base import ReadOnlyAdmin
from superoffice_hooks.admin.parts import event_link, render, render_body, render_moment
from superoffice_hooks.models import Delivery
from superoffice_hooks.trail.scope import deliveries_for


class DeliveryAdmin(ReadOnlyAdmin):
    """What arrived, newest first, and what became of it."""

    list_display = ("received", "outcome", "endpoint", "its_event", "key_id", "reason")
    list_display_links = ("received",)
    list_filter = ("outcome",)
    allowed_lookups = frozenset({"outcome", "outcome__exact"})
    sortable_by = ()
    unlisted = ("body", "headers", "event__field_values", "event__properties")
    fieldsets: ClassVar = [
        (
            None,
            {
                "fields": (
                    "received",
                    "endpoint",
                    "outcome",
                    "reason",
                    "its_event",
                    "signature",
                    "key_id",
                    "remote_address",
                )
            },
        ),
        (_("Headers"), {"fields": ("its_headers",)}),
        (_("Body"), {"fields": ("its_body",)}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries in the user's scope."""
        return deliveries_for(request.user).select_related("event")

    @admin.display(description=_("received at"))
    def received(self, delivery: Delivery) -> str:
        """When it arrived, to the second."""
        return render_moment(delivery.received_at)

    @admin.display(description=_("event"))
    def its_event(self, delivery: Delivery) -> str:
        """A link to the event that this delivery recorded, repeats or contradicts."""
        return event_link(delivery.event)

    @admin.display(description=_("headers"))
    def its_headers(self, delivery: Delivery) -> str:
        """The request's headers as a table."""
        return render("headers", headers=sorted(delivery.headers.items()))

    @admin.display(description=_("body"))
    def its_body(self, delivery: Delivery) -> str:
        """The bytes as they came."""
        return render_body(bytes(delivery.body))
