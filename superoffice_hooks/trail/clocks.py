"""Whether SuperOffice's clock and the receiver's agree."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from superoffice_hooks.models import Event

LOOKED_AT: Final = 100
TOLERATED: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Early:
    """How many of the newest events were received before they happened, and by how much at most."""

    count: int
    most: timedelta


def early() -> Early:
    """Return which of the last 100 events arrived more than a minute before they happened."""
    newest = Event.objects.order_by("-received_at", "-id").values_list("occurred_at", "received_at")
    leads = [occurred_at - received_at for occurred_at, received_at in newest[:LOOKED_AT]]
    ahead = [lead for lead in leads if lead > TOLERATED]
    return Early(len(ahead), max(ahead, default=timedelta()))
