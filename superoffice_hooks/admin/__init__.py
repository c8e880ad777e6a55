"""The trail in Django admin: read only for everybody, superusers too."""

from django.contrib import admin

from superoffice_hooks.admin.deliveries import DeliveryAdmin
from superoffice_hooks.admin.events import EventAdmin
from superoffice_hooks.models import Delivery, Event

__all__ = ["DeliveryAdmin", "EventAdmin"]

admin.site.register(Event, EventAdmin)
admin.site.register(Delivery, DeliveryAdmin)
