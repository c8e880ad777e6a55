"""What a pasted word looks for."""

import re
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from superoffice_hooks.models import Event


def matching(events: QuerySet[Event], term: str) -> QuerySet[Event]:
    """Keep the events of the record with this primary key, or with this GUID.

    Anything else matches nothing: a search through text would read every event.
    """
    found = _meaning(term.strip())
    return events.filter(**found) if found else events.none()


def _meaning(term: str) -> dict[str, Any]:
    if re.fullmatch(r"-?[0-9]{1,19}", term) and -(2**63) <= (number := int(term)) < 2**63:
        return {"primary_key": number}
    try:  # a GUID can be written in digits alone
        return {"event_id": UUID(term)}
    except ValueError:
        return {}
