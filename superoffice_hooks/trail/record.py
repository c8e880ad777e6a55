"""One record of one tenant, and what the trail holds of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from superoffice_hooks.conf import conf
from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.scope import events_for

# The fields whose value people call a record by.
TITLES = ("name", "heading", "header")
MAX_TITLE = 100  # characters


def title_of(values: Mapping[str, Any]) -> str:
    """Return what people call the record that has these values, or nothing."""
    named = (values[field] for field in TITLES if values.get(field))
    return next((name[:MAX_TITLE] for name in named if isinstance(name, str)), "")


class Record(NamedTuple):
    """What an event is about: the tenant, the entity and the record's id in SuperOffice."""

    context_identifier: str
    entity: str
    primary_key: int

    @classmethod
    def of(cls, event: Event) -> "Record":
        """Return the record that this event is about."""
        return cls(event.context_identifier, event.entity, event.primary_key)

    def __str__(self) -> str:
        return f"{self.entity} {self.primary_key}"

    def sibling(self, entity: str, primary_key: int) -> "Record":
        """Return another record of the same tenant."""
        return Record(self.context_identifier, entity, primary_key)

    def events(self, user: Any) -> EventQuerySet:
        """Return the events of this record that the user may see, newest first, without twins."""
        events = events_for(user).of_record(self.context_identifier, self.entity, self.primary_key)
        return events.once()

    @property
    def url(self) -> str | None:
        """Where SuperOffice shows this record, by the setting ``RECORD_URLS``."""
        urls = conf.record_urls
        template = urls.get(self.entity, urls.get("*"))
        if template is None:
            return None
        return template.format(
            context_identifier=quote(self.context_identifier, safe=""),
            entity=quote(self.entity, safe=""),
            primary_key=self.primary_key,
        )
