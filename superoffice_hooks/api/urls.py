"""The URLs of the API, below ``api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from superoffice_hooks.api.deliveries import DeliveryViewSet
from superoffice_hooks.api.events import EventViewSet
from superoffice_hooks.api.follow import FollowView
from superoffice_hooks.api.records import RecordView, RelatedView
from superoffice_hooks.api.summary import SummaryView

router = SimpleRouter()
router.register("events", EventViewSet, basename="event")
router.register("deliveries", DeliveryViewSet, basename="delivery")

RECORD = "records/<str:context_identifier>/<str:entity>/<str:primary_key>/"

urlpatterns = [
    path("events/follow/", FollowView.as_view(), name="follow"),
    *router.urls,
    path(RECORD, RecordView.as_view(), name="record"),
    path(f"{RECORD}related/", RelatedView.as_view(), name="related"),
    path("summary/", SummaryView.as_view(), name="summary"),
    # For tenants and entities that cannot stand in a path; of one name, reverse() takes the one
    # that fits the arguments.
    path("records/", RecordView.as_view(), name="record"),
    path("records/related/", RelatedView.as_view(), name="related"),
]
