"""The webhook and the API; ``path("superoffice/", include("superoffice_hooks.urls"))``."""

from django.urls import include, path

from superoffice_hooks.intake.view import webhook

app_name = "superoffice_hooks"

urlpatterns = [
    # Without the slash too: a redirect would lose the delivery. Of one name, reverse() gives the
    # last, the form with the slash.
    path("webhook", webhook, name="webhook"),
    path("webhook/", webhook, name="webhook"),
    path("webhook/<slug:endpoint>", webhook, name="webhook"),
    path("webhook/<slug:endpoint>/", webhook, name="webhook"),
    path("api/", include("superoffice_hooks.api.urls")),
]
