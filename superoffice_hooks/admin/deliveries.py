"""The list of deliveries, and the page of one."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import DatabaseError
from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.base import TrailList, non_atomic
from superoffice_hooks.admin.export import ExportActions
from superoffice_hooks.admin.filters import ChoiceFilter, MomentRangeFilter
from superoffice_hooks.admin.parts import event_link, record_link, render, render_moment
from superoffice_hooks.admin.processed import Processed
from superoffice_hooks.admin.reasons import explain
from superoffice_hooks.exceptions import DeliveryError, SignatureError
from superoffice_hooks.intake.reprocess import reprocess, verify_again
from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.models.delivery import RETRY_HEADER
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for, deliveries_for

MAX_AT_ONCE = 500  # deliveries that one click processes; a request must end


class Again(NamedTuple):
    """One way to take deliveries of one outcome once more.

    ``name`` is the action, and in the URL to which the button posts, with hyphens. ``note`` says
    beside the button what it does, ``logged`` in the log of the admin what was done.
    """

    name: str
    outcome: Outcome
    take: Callable[[Delivery, str], Delivery]
    label: Any
    note: Any
    logged: str

    @property
    def slug(self) -> str:
        """The end of the URL."""
        return self.name.replace("_", "-")

    @property
    def url_name(self) -> str:
        """The name of the URL."""
        return f"superoffice_hooks_delivery_{self.name}"


PROCESS = Again(
    "process_again",
    Outcome.QUARANTINED,
    reprocess,
    _("Process again"),
    _(
        "Reads the body once more, by today's settings and version. What it brings is stored with "
        "the moment when it arrived."
    ),
    "Processed again",
)
VERIFY = Again(
    "verify_again",
    Outcome.REFUSED,
    verify_again,
    _("Verify again"),
    _(
        "Compares its signature with the secrets that the settings have today. If one fits, what "
        "the delivery brings is stored with the moment when it arrived."
    ),
    "Verified again",
)
AGAIN = {again.outcome: again for again in (PROCESS, VERIFY)}


class OutcomeFilter(ChoiceFilter):
    """By what became of the delivery."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the outcomes that this user can meet.

        A test or refused delivery is of no tenant, and whether there is a refused one is asked.
        """
        unmet = set()
        if contexts_for(request.user) is not None:
            unmet = {Outcome.TEST, Outcome.REFUSED}
        elif not meets(request, Outcome.REFUSED):
            unmet = {Outcome.REFUSED}
        return [(outcome.value, outcome.label) for outcome in Outcome if outcome not in unmet]


def meets(request: HttpRequest, outcome: Outcome) -> bool:
    """Whether the user can meet a delivery of this outcome; asked once a request."""
    found: dict[Outcome, bool] = request.__dict__.setdefault("superoffice_hooks_outcomes", {})
    if outcome not in found:
        found[outcome] = deliveries_for(request.user).filter(outcome=outcome).exists()
    return found[outcome]


class ReceivedFilter(MomentRangeFilter):
    """By when it arrived."""

    title = _("received at")
    field_path = "received_at"


class DeliveryList(TrailList):
    """The deliveries in the order of their index."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the order of arrival; within a span of time, that of the index over the time."""
        if any(request.GET.get(name) for name in ReceivedFilter.parameters()):
            return ["-received_at", "-id"]
        return super().get_ordering(request, queryset)

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, and of the headers the one that the list shows."""
        super().get_results(request)
        rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in self.result_list])
        retries = dict(rows.order_by().values_list("pk", KT(f"headers__{RETRY_HEADER}")))
        for delivery in self.result_list:
            delivery.retry = retries.get(delivery.pk)


class DeliveryAdmin(ExportActions):
    """What arrived, newest first, what became of it, and a second try for what was not taken."""

    list_display = (
        "received",
        "outcome",
        "in_short",
        "its_links",
        "attempt",
        "endpoint_and_key",
    )
    list_display_links = ("received",)
    list_filter = (OutcomeFilter, ReceivedFilter)
    sortable_by = ()
    unlisted = ("body", "headers", "event__field_values", "event__properties")
    actions = (*(again.name for again in AGAIN.values()), *ExportActions.actions)
    fieldsets: ClassVar = [
        (
            None,
            {
                "fields": (
                    "received",
                    "outcome",
                    "meaning",
                    "reason",
                    "its_event",
                    "its_record",
                    "endpoint",
                    "attempts",
                    "signature",
                    "key_id",
                    "remote_address",
                )
            },
        ),
        (_("Body"), {"fields": ("its_body",)}),
        (_("Headers"), {"fields": ("its_headers",)}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries in the user's scope."""
        return deliveries_for(request.user).select_related("event")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TrailList]:
        """Return the class of the list."""
        return DeliveryList

    def get_urls(self) -> list[Any]:
        """Return the admin's own pages, and before them where the buttons post."""
        return [
            *(
                path(
                    f"<path:object_id>/{again.slug}/",
                    self.admin_site.admin_view(self.again_view),
                    {"again": again},
                    name=again.url_name,
                )
                for again in AGAIN.values()
            ),
            *super().get_urls(),
        ]

    # What a page shows.

    @admin.display(description=_("received at"))
    def received(self, delivery: Delivery) -> str:
        """When it arrived, to the second."""
        return render_moment(delivery.received_at)

    @admin.display(description=_("what happened"))
    def in_short(self, delivery: Delivery) -> str:
        """The reason in plain words; as it is stored where there are none for it."""
        explanation = explain(delivery.outcome, delivery.reason)
        return explanation.meaning if explanation else Truncator(delivery.reason).chars(200)

    @admin.display(description=_("what happened"))
    def meaning(self, delivery: Delivery) -> str:
        """The reason in plain words, and what to do next."""
        explanation = explain(delivery.outcome, delivery.reason)
        return f"{explanation.meaning} {explanation.advice}".strip() if explanation else ""

    @admin.display(description=_("event"))
    def its_links(self, delivery: Delivery) -> str | None:
        """Links to the event and to its record, in the room of one column."""
        if delivery.event is None:
            return None
        url = reverse("admin:superoffice_hooks_event_change", args=[delivery.event.pk])
        record = record_link(Record.of(delivery.event))
        return format_html('<a href="{}">{}</a> · {}', url, delivery.event.name, record)

    @admin.display(description=_("endpoint and key"))
    def endpoint_and_key(self, delivery: Delivery) -> str:
        """Where it arrived, and which of the endpoint's secrets signed it."""
        return f"{delivery.endpoint} {delivery.key_id}"

    @admin.display(description=_("event"))
    def its_event(self, delivery: Delivery) -> str:
        """A link to the event that this delivery recorded, repeats or contradicts."""
        return event_link(delivery.event) or self.get_empty_value_display()

    @admin.display(description=_("record"))
    def its_record(self, delivery: Delivery) -> str:
        """A link to everything that happened to the record of this event."""
        if delivery.event is None:
            return self.get_empty_value_display()
        return record_link(Record.of(delivery.event))

    @admin.display(description=_("retry"), empty_value="")
    def attempt(self, delivery: Any) -> str:
        """How often SuperOffice had sent it before, as the header says; nothing for never."""
        return "" if delivery.retry == "0" else Truncator(delivery.retry or "").chars(12)

    @admin.display(description=_("retry"))
    def attempts(self, delivery: Delivery) -> str:
        """The same in words."""
        number = str(delivery.headers.get(RETRY_HEADER, ""))
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return number
        if int(number) == 0:
            return gettext("0: this is the first attempt")
        return ngettext(
            "%(number)d: SuperOffice had sent it once before, and did not take the answer for a "
            "success, or somebody asked it to send it again",
            "%(number)d: SuperOffice had sent it %(number)d times before, and did not take the "
            "answers for a success, or somebody asked it to send it again",
            int(number),
        ) % {"number": int(number)}

    @admin.display(description=_("headers"))
    def its_headers(self, delivery: Delivery) -> str:
        """The request's headers as a table."""
        return render("headers", headers=sorted(delivery.headers.items()))

    @admin.display(description=_("body"))
    def its_body(self, delivery: Delivery) -> str:
        """The body, marked where a quarantined one cannot be read."""
        # Its patterns take a start longer than most modules.
        from superoffice_hooks.admin.body import render_body

        return render_body(bytes(delivery.body), find_fault=delivery.outcome == Outcome.QUARANTINED)

    # Process again, and verify again.

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        """Whether this user may have a delivery processed or verified again."""
        return self.has_view_permission(request) and request.user.has_perm(
            "superoffice_hooks.reprocess_delivery"
        )

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer "Process again" only where something is quarantined, and the other likewise."""
        actions = super().get_actions(request, action_location)
        for again in AGAIN.values():
            if again.name in actions and not meets(request, again.outcome):
                del actions[again.name]
        return actions

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Render the page of one delivery, with the button where it may be pressed."""
        again = AGAIN.get(obj.outcome)
        if again is not None and self.has_reprocess_permission(request):
            url = reverse(f"{self.admin_site.name}:{again.url_name}", args=[obj.pk])
            context |= {"again": again, "again_url": url}
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.action(permissions=["reprocess"], description=PROCESS.label)
    def process_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Process the selected deliveries again that are quarantined, the oldest first."""
        self._take_selected(request, queryset, PROCESS)

    @admin.action(permissions=["reprocess"], description=VERIFY.label)
    def verify_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Verify the selected deliveries again that were refused, the oldest first."""
        self._take_selected(request, queryset, VERIFY)

    def _take_selected(
        self, request: HttpRequest, queryset: QuerySet[Delivery], again: Again
    ) -> None:
        eligible = queryset.filter(outcome=again.outcome).order_by("id")
        chosen = list(eligible.select_related(None).only("pk")[: MAX_AT_ONCE + 1])
        self._take(request, chosen[:MAX_AT_ONCE], again)
        if len(chosen) > MAX_AT_ONCE:
            text = gettext(
                "Only the oldest %(count)d were processed. Choose the action again for the others."
            )
            self.message_user(request, text % {"count": MAX_AT_ONCE}, messages.WARNING)

    @non_atomic
    def again_view(self, request: HttpRequest, object_id: str, again: Again) -> HttpResponse:
        """Process or verify this delivery again, and return to its page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_reprocess_permission(request):
            raise PermissionDenied
        delivery = self.get_object(request, unquote(object_id))
        self._take(request, [delivery] if delivery.outcome == again.outcome else [], again)
        return HttpResponseRedirect(
            reverse(f"{self.admin_site.name}:superoffice_hooks_delivery_change", args=[delivery.pk])
        )

    def _take(self, request: HttpRequest, deliveries: Iterable[Delivery], again: Again) -> None:
        """Take these deliveries once more, and tell the user what became of them."""
        processed = Processed(again.outcome)
        for chosen in deliveries:
            try:
                delivery = again.take(chosen, request.user.get_username())
            except DatabaseError:
                processed.fail(gettext("The database could not take it."))
            except SignatureError as error:
                explanation = explain(Outcome.REFUSED, str(error))
                processed.fail(explanation.meaning if explanation else str(error))
            except (DeliveryError, ImproperlyConfigured) as error:
                processed.fail(str(error))
            else:
                processed.add(delivery)
                self.log_change(request, delivery, f"{again.logged}: {delivery.outcome}.")
        for level, text in processed.told():
            self.message_user(request, text, level)
