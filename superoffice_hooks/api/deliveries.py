"""``api/deliveries/``: what arrived, and what became of it."""

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from superoffice_hooks.api.base import TrailView
from superoffice_hooks.api.filters import DeliveryFilter, StrictFilterBackend
from superoffice_hooks.api.pagination import TrailPagination
from superoffice_hooks.api.serializers import DeliverySerializer, WholeDeliverySerializer
from superoffice_hooks.models import Delivery
from superoffice_hooks.trail.scope import deliveries_for


class DeliveryViewSet(TrailView, ReadOnlyModelViewSet[Delivery]):
    """The deliveries that the user may see, last first; one alone has its body."""

    queryset = Delivery.objects.all()
    pagination_class = TrailPagination
    filter_backends = (StrictFilterBackend,)
    filterset_class = DeliveryFilter
    lookup_value_regex = "[0-9]+"
    trail_scope = "superoffice_deliveries"

    @property
    def other_parameters(self) -> tuple[str, ...]:  # type: ignore[override]  # of each action
        """The parameters that are no filters."""
        return ("cursor", "page_size") if self.action == "list" else ()

    def get_queryset(self) -> QuerySet[Delivery]:
        """Return the deliveries in the user's scope; a list goes without the bodies."""
        deliveries = deliveries_for(self.request.user)
        return deliveries.defer("body") if self.action == "list" else deliveries

    def get_serializer_class(self) -> type[BaseSerializer[Delivery]]:
        """Return what shows a delivery with its body, or without."""
        return DeliverySerializer if self.action == "list" else WholeDeliverySerializer
