"""The addresses of the pages of the app's admin."""

from collections.abc import Callable
from urllib.parse import urlencode

from superoffice_hooks.models import Delivery, Event

ADMIN = "/admin/superoffice_hooks"
TENANT = "Cust13579"
RECORD = urlencode({"context_identifier": TENANT, "entity": "contact", "primary_key": 4711})


def event(**which: object) -> str:
    return f"{ADMIN}/event/{Event.objects.filter(**which).latest('id').pk}/change/"


def delivery(**which: object) -> str:
    return f"{ADMIN}/delivery/{Delivery.objects.filter(**which).latest('id').pk}/change/"


PAGES: dict[str, Callable[[], str]] = {
    "overview": lambda: f"{ADMIN}/",
    "events": lambda: f"{ADMIN}/event/",
    "event": lambda: event(context_identifier=TENANT, name="contact.changed"),
    "deletion": lambda: event(name="sale.deleted"),
    "record": lambda: f"{ADMIN}/event/record/?{RECORD}",
    "related": lambda: f"{ADMIN}/event/related/?{RECORD}",
    "deliveries": lambda: f"{ADMIN}/delivery/",
    "delivery": lambda: delivery(outcome="quarantined"),
}
