"""Who did it: the associates behind the numbers."""

import logging
from typing import NamedTuple

from superoffice_hooks.conf import conf

logger = logging.getLogger("superoffice_hooks.trail")

SYSTEM = 0  # ChangedByAssociateId where SuperOffice itself did it


class Associate(NamedTuple):
    """Who changed something: an associate of one tenant.

    ``name`` is ``None`` where the site knows none. ``is_integration`` marks a program of ours.
    """

    context_identifier: str
    associate_id: int
    name: str | None
    is_integration: bool

    @property
    def is_system(self) -> bool:
        """Whether nobody did it but SuperOffice itself."""
        return self.associate_id == SYSTEM


class People:
    """Finds who an associate is by the settings ``ASSOCIATE_NAME`` and ``INTEGRATION_USERS``.

    Asks the site once for each associate; one instance serves one page.
    """

    def __init__(self) -> None:
        self.names = conf.associate_name
        self.integrations = conf.integration_users
        self.known: dict[tuple[str, int], Associate] = {}
        self.programs: dict[str, frozenset[int]] = {}

    def __call__(self, context_identifier: str, associate_id: int) -> Associate:
        """Return the associate; one whom the site fails to name has no name."""
        key = (context_identifier, associate_id)
        if key not in self.known:
            self.known[key] = Associate(
                context_identifier, associate_id, self._name(*key), self._is_integration(*key)
            )
        return self.known[key]

    def _name(self, context_identifier: str, associate_id: int) -> str | None:
        if associate_id == SYSTEM:
            return None
        try:
            name = self.names(context_identifier, associate_id)
            return str(name) if name else None
        except Exception:  # the site's own code; a name is not worth a page
            logger.exception("ASSOCIATE_NAME failed for associate %s.", associate_id)
            return None

    def _is_integration(self, context_identifier: str, associate_id: int) -> bool:
        if context_identifier not in self.programs:
            try:
                ids = frozenset(self.integrations(context_identifier))
            except Exception:  # likewise
                logger.exception("INTEGRATION_USERS failed for the tenant %r.", context_identifier)
                ids = frozenset()
            self.programs[context_identifier] = ids
        return associate_id in self.programs[context_identifier]
