"""The URLs of the API, below ``api/``."""

from typing import Any

from django.apps import apps
from django.urls import path

from superoffice_hooks.api.deliveries import DeliveryViewSet
from superoffice_hooks.api.events import EventViewSet
from superoffice_hooks.api.export import ExportView, ManifestView
from superoffice_hooks.api.filters import DeliveryFilter, EventFilter
from superoffice_hooks.api.follow import FollowView
from superoffice_hooks.api.records import RecordView, RelatedView
from superoffice_hooks.api.summary import SummaryView
from superoffice_hooks.models import Delivery, Event

# What a router would give the views: for five URLs, it would cost every start milliseconds.
LIST: Any = {"actions": {"get": "list"}, "detail": False, "suffix": "List"}
DETAIL: Any = {"actions": {"get": "retrieve"}, "detail": True, "suffix": "Instance"}
CHOICES: Any = {"actions": {"get": "choices"}, "detail": False, **EventViewSet.choices.kwargs}
EVENTS: Any = {"queryset": Event.objects.all(), "filterset_class": EventFilter}
DELIVERIES: Any = {"queryset": Delivery.objects.all(), "filterset_class": DeliveryFilter}
RECORD = "records/<str:context_identifier>/<str:entity>/<str:primary_key>/"

urlpatterns = [
    path("events/follow/", FollowView.as_view(), name="follow"),
    *(
        path(
            f"{rows}/export.{file_format}",
            ExportView.as_view(**options, file_format=file_format),
            name=f"{rows}-{file_format}",
        )
        for rows, options in (("events", EVENTS), ("deliveries", DELIVERIES))
        for file_format in ("ndjson", "csv")  # trail.formats, which no start needs
    ),
    path("events/manifest/", ManifestView.as_view(**EVENTS), name="events-manifest"),
    path("deliveries/manifest/", ManifestView.as_view(**DELIVERIES), name="deliveries-manifest"),
    path("events/", EventViewSet.as_view(**LIST), name="event-list"),
    path("events/choices/", EventViewSet.as_view(**CHOICES), name="event-choices"),
    path("events/<int:pk>/", EventViewSet.as_view(**DETAIL), name="event-detail"),
    path("deliveries/", DeliveryViewSet.as_view(**LIST), name="delivery-list"),
    path("deliveries/<int:pk>/", DeliveryViewSet.as_view(**DETAIL), name="delivery-detail"),
    path(RECORD, RecordView.as_view(), name="record"),
    path(f"{RECORD}related/", RelatedView.as_view(), name="related"),
    path("summary/", SummaryView.as_view(), name="summary"),
    # For tenants and entities that cannot stand in a path; of one name, reverse() takes the one
    # that fits the arguments.
    path("records/", RecordView.as_view(), name="record"),
    path("records/related/", RelatedView.as_view(), name="related"),
]

if apps.is_installed("drf_spectacular"):  # the extra "openapi"
    from superoffice_hooks.api import schema

    urlpatterns += schema.urlpatterns
