"""Which of an event's changes tell a reader something."""

import re

from superoffice_hooks.conf import conf
from superoffice_hooks.models import Event
from superoffice_hooks.wire.catalog import is_own_key, same_field


class Technical:
    """Says which fields SuperOffice itself keeps: stamps, counters, the record's own key.

    Any spelling of a name is that name, as for ``same_field``. Reads the setting
    ``TECHNICAL_FIELDS`` once; one instance serves one page.
    """

    def __init__(self) -> None:
        self.names = conf.technical_fields
        self.patterns: dict[str, re.Pattern[str]] = {}

    def __call__(self, entity: str, field: str) -> bool:
        """Whether this field of this entity is technical."""
        pattern = self.patterns.get(entity)
        if pattern is None:
            names = [*self.names["*"], *self.names.get(entity, ())]
            pattern = re.compile("|".join(map(_expression, names)) or r"(?!)", re.DOTALL)
            self.patterns[entity] = pattern
        spellings = (same_field(field, entity), field.casefold())
        return any(map(pattern.fullmatch, spellings)) or is_own_key(entity, field)

    def telling(self, event: Event) -> list[str]:
        """Return the changed fields that are not technical, in the order of the wire."""
        names = [row.name for row in event.changed_fields.all()]
        return [name for name in names if not self(event.entity, name)]


def _expression(name: str) -> str:
    """Return the expression for a name in any spelling, or for what a ``*`` in it stands for."""
    if "*" not in name:
        return re.escape(same_field(name))
    return ".*".join(map(re.escape, name.casefold().split("*")))
