"""Who may see what: the one place that admin and API ask.

``SUPEROFFICE_HOOKS["CONTEXTS_FOR_USER"]`` says which tenants a user may see. What is outside is
not there: not in a list, not in a count, and its page is 404.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from superoffice_hooks.conf import conf
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.models.delivery import DeliveryQuerySet
from superoffice_hooks.models.event import EventQuerySet


def contexts_for(user: Any) -> frozenset[str] | None:
    """Return the context identifiers that this user may see, ``None`` for all of them."""
    contexts = conf.contexts_for_user(user)
    if isinstance(contexts, str):  # a set of its letters would silently show nothing
        raise ImproperlyConfigured("CONTEXTS_FOR_USER must return a list of texts, not a text.")
    return None if contexts is None else frozenset(contexts)


def events_for(user: Any) -> EventQuerySet:
    """Return the events that this user may see."""
    return Event.objects.in_contexts(contexts_for(user))


def deliveries_for(user: Any) -> DeliveryQuerySet:
    """Return the deliveries that this user may see."""
    return Delivery.objects.in_contexts(contexts_for(user))
