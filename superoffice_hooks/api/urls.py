"""The URLs of the API, below ``api/``."""

from rest_framework.routers import SimpleRouter

from superoffice_hooks.api.views import EventViewSet

router = SimpleRouter()
router.register("events", EventViewSet, basename="event")

urlpatterns = router.urls
