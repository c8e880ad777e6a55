"""The resources of the API."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import IntegerField
from rest_framework.viewsets import ReadOnlyModelViewSet

from superoffice_hooks.api.filters import EventFilter, StrictFilterBackend
from superoffice_hooks.api.serializers import EventSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.trail.scope import events_for


class ViewPermission(DjangoModelPermissions):
    """Asks for the model's ``view`` permission; Django REST framework asks for none on GET."""

    perms_map = {  # noqa: RUF012  # as REST framework declares it
        method: ["%(app_label)s.view_%(model_name)s"] for method in ("GET", "HEAD", "OPTIONS")
    }


class TrailPagination(CursorPagination):
    """Newest first, by cursor: no count, and no page costs more than the first."""

    ordering = ("-occurred_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    # How many events of one moment a walk can pass; behind it the walk would turn in a circle.
    offset_cutoff = 100_000

    def get_page_size(self, request: Request) -> int:
        """Return the size that is asked for; refuse what is none, or more than 200."""
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        try:
            field = IntegerField(min_value=1, max_value=self.max_page_size)
            return int(field.run_validation(asked))
        except ValidationError as error:
            raise ValidationError({self.page_size_query_param: error.detail}) from None

    def decode_cursor(self, request: Request) -> Any:
        """Return the cursor, or answer 404 to one that this API never gave."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                moment = datetime.fromisoformat(str(cursor.position))
                known = moment.tzinfo is not None and moment.astimezone(UTC)
            except (ValueError, OverflowError):
                known = False
            if not known:
                raise NotFound(self.invalid_cursor_message)
        return cursor


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
