"""Which of an event's changes tell a reader something."""

from superoffice_hooks.models import Event
from superoffice_hooks.wire.catalog import is_bookkeeping


def telling_changes(event: Event) -> list[str]:
    """Return the changed fields that are not bookkeeping, in the order of the wire."""
    names = [row.name for row in event.changed_fields.all()]
    return [name for name in names if not is_bookkeeping(event.entity, name)]
