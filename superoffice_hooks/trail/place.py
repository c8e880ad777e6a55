"""A place in a list that is read a page at a time."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import Q

_PLACE = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z)_(\d{1,18})"


class Place(NamedTuple):
    """The last row that was read of a list: ``at`` is its time, in UTC, and ``pk`` its id.

    As text it is ``2026-11-21T09:12:02.123456Z_4711``. No row that comes or goes moves it.
    """

    at: datetime
    pk: int

    @classmethod
    def of(cls, row: Any, field: str = "occurred_at") -> "Place":
        """Return the place of this row in a list in the order of ``field``."""
        return cls(getattr(row, field), row.pk)

    @classmethod
    def read(cls, text: str) -> "Place":
        """Return the place that this text names; raise ``ValueError`` where it names none."""
        found = re.fullmatch(_PLACE, text, re.ASCII)
        if found is None:
            raise ValueError(text)
        at = datetime.fromisoformat(found[1])
        if not 1000 < at.year < 9999:  # outside, MariaDB has no dates
            raise ValueError(text)
        return cls(at, int(found[2]))

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{self._fraction}Z_{self.pk}"

    @property
    def _fraction(self) -> str:
        return f".{self.at.microsecond:06}" if self.at.microsecond else ""

    def beyond(self, order: str = "-occurred_at", key: str = "pk") -> Q:
        """Return the condition for the rows that come after this place in a list.

        ``order`` is the list's first column, with a hyphen where the list runs backwards, and
        ``key`` is the row's id, which parts rows of one time.
        """
        field, less = order.removeprefix("-"), "lt" if order.startswith("-") else "gt"
        by_key = Q(**{f"{key}__{less}": self.pk})
        if field == "id":
            return by_key
        # The first half is what an index can begin at.
        return Q(**{f"{field}__{less}e": self.at}) & (Q(**{f"{field}__{less}": self.at}) | by_key)
