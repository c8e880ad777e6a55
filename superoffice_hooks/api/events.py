"""``api/events/``: the events, and what can be chosen among them."""

from typing import Any

from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from superoffice_hooks.api.base import RowViewSet
from superoffice_hooks.api.filters import EventFilter, refuse_unknown
from superoffice_hooks.api.serializers import EventSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail import facets
from superoffice_hooks.trail.scope import contexts_for, events_for


class EventViewSet(RowViewSet[Event]):
    """The events that the user may see, newest first."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilter
    trail_scope = "superoffice_events"

    def get_queryset(self) -> EventQuerySet:
        """Return the events in the user's scope, with their rows in two further queries."""
        return events_for(self.request.user).with_rows()

    @action(detail=False)
    def choices(self, request: Request) -> Response:
        """The values that the filters can be given, at most 200 of each, in order."""
        refuse_unknown(request, ())
        contexts = contexts_for(request.user)
        found: dict[str, Any] = {name: facets.choices(name, contexts) for name in facets.FACETS}
        # The index of field names knows no tenants.
        found["changed_field"] = facets.field_names() if contexts is None else None
        return Response(found)
