"""The resources of the API."""

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import JSONRenderer
from rest_framework.viewsets import ReadOnlyModelViewSet

from superoffice_hooks.api.filters import EventFilter, StrictFilterBackend
from superoffice_hooks.api.serializers import EventSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.trail.scope import events_for


class ViewPermission(DjangoModelPermissions):
    """Asks for the model's ``view`` permission; Django REST framework asks for none on GET."""

    perms_map: ClassVar[dict[str, list[str]]] = {
        method: ["%(app_label)s.view_%(model_name)s"] for method in ("GET", "HEAD", "OPTIONS")
    }


class TrailPagination(CursorPagination):
    """Newest first, by cursor: no count, and no page costs more than the first."""

    ordering = ("-occurred_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class EventViewSet(ReadOnlyModelViewSet[Event]):
    """The events that the user may see: ``api/events/`` and ``api/events/{id}/``."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    permission_classes = (ViewPermission,)
    renderer_classes = (JSONRenderer,)
    pagination_class = TrailPagination
    filter_backends = (StrictFilterBackend,)
    filterset_class = EventFilter
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Event]:
        """Return the events in the user's scope, with their rows in two further queries."""
        return events_for(self.request.user).with_rows()
