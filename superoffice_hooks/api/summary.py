"""``api/summary/``: how many events there are in a period."""

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from superoffice_hooks.api.base import TrailView
from superoffice_hooks.api.filters import StrictFilterBackend, UnorderedEventFilter, select
from superoffice_hooks.models import Event
from superoffice_hooks.trail.scope import events_for

if TYPE_CHECKING:  # imported where it is used: no start needs it
    from superoffice_hooks.trail.activity import Period, Summary

USUAL_DAYS = 30
TWINS_TOO = frozenset({"is_twin", "webhook_name", "event_id"})  # who asks by these means them


class SummaryView(TrailView, GenericAPIView[Event]):
    """How many changes there are in a period by day, action, entity, associate and tenant.

    The period is from ``occurred_at_after``, by default 30 days before its end, to
    ``occurred_at_before``, by default now: at most 366 days. Of more than 100,000
    events, twins among them, the newest are counted, and of actions, entities, associates and
    tenants the 100 busiest given. What told a change again, a twin, is counted only where
    ``is_twin``, ``webhook_name`` or ``event_id`` asks.
    """

    queryset = Event.objects.all()
    filter_backends = (StrictFilterBackend,)
    filterset_class = UnorderedEventFilter
    trail_scope = "superoffice_summary"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return what shows the figures."""
        from superoffice_hooks.api.answers import SummarySerializer  # no start needs it

        return SummarySerializer

    def get(self, request: Request) -> Response:
        """Answer with the figures of the selected events."""
        from superoffice_hooks.trail.activity import summary

        selection = select(UnorderedEventFilter, request, events_for(request.user))
        period = _period(selection.form.cleaned_data)
        # Which of two webhooks told it first is chance: of one webhook, everything is counted.
        twins_too = not TWINS_TOO.isdisjoint(request.query_params)
        found = summary(period, selection.qs, twins_too=twins_too)
        return Response(self.get_serializer(_shown(found)).data)


def _period(asked: dict[str, Any]) -> "Period":
    from superoffice_hooks.trail.activity import MAX_DAYS, TICK, Period

    first, last = asked["occurred_at_after"], asked["occurred_at_before"]
    now = timezone.now()
    if last is None and first is not None and first > now:
        text = _("Enter a moment that is not later than {other}.").format(other=now.isoformat())
        raise ValidationError({"occurred_at_after": [text]})
    try:
        if last is None:
            last = now
        if first is None:
            first = last + TICK - timedelta(days=USUAL_DAYS)
        return Period.between(first, last)
    except (ValueError, OverflowError):
        given = [name for name in ("occurred_at_after", "occurred_at_before") if asked[name]]
        text = _("Enter a period of at most {days} days.").format(days=MAX_DAYS)
        raise ValidationError({name: [text] for name in given}) from None


def _shown(found: "Summary") -> dict[str, Any]:
    from superoffice_hooks.trail.activity import MAX_COUNTED

    actions = sum((Counter(counts) for counts in found.actions), Counter())
    busiest = dict(actions.most_common(MAX_COUNTED))
    return {
        "begin": found.period.begin,
        "end": found.period.end,
        "counted_from": found.counted.begin,
        "count": found.total,
        "days": [
            {
                "begin": begin,
                "end": end,
                "count": sum(counts.values()),
                "actions": {name: count for name, count in counts.items() if name in busiest},
            }
            for (begin, end), counts in zip(found.counted.buckets, found.actions, strict=True)
        ],
        "actions": [{"action": name, "count": count} for name, count in busiest.items()],
        "entities": [{"entity": name, "count": count} for name, count in found.entities],
        "associates": [{**who._asdict(), "count": count} for who, count in found.associates],
        "tenants": [{"context_identifier": name, "count": count} for name, count in found.tenants],
    }
