"""The demo site: the admin, the app, and a front door that leads to the events."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:superoffice_hooks_event_changelist")),
    path("admin/", admin.site.urls),
    path("superoffice/", include("superoffice_hooks.urls")),
]
