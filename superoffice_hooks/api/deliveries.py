"""``api/deliveries/``: what arrived, and what became of it."""

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer

from superoffice_hooks.api.base import RowViewSet
from superoffice_hooks.api.filters import DeliveryFilter
from superoffice_hooks.api.serializers import DeliverySerializer, WholeDeliverySerializer
from superoffice_hooks.models import Delivery
from superoffice_hooks.trail.scope import deliveries_for


class DeliveryViewSet(RowViewSet[Delivery]):
    """The deliveries that the user may see, last first; one alone has its body."""

    queryset = Delivery.objects.all()
    filterset_class = DeliveryFilter
    trail_scope = "superoffice_deliveries"

    def get_queryset(self) -> QuerySet[Delivery]:
        """Return the deliveries in the user's scope; a list goes without the bodies."""
        deliveries = deliveries_for(self.request.user)
        return deliveries.defer("body") if self.action == "list" else deliveries

    def get_serializer_class(self) -> type[BaseSerializer[Delivery]]:
        """Return what shows a delivery with its body, or without."""
        return DeliverySerializer if self.action == "list" else WholeDeliverySerializer
