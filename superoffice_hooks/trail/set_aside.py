"""What was set aside and waits for a person: quarantined and refused deliveries."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from superoffice_hooks.conf import conf
from superoffice_hooks.models import Delivery, Outcome

MAX_COUNTED: Final = 1_000


@dataclass(frozen=True, slots=True)
class SetAside:
    """How many deliveries of one outcome there are, 1,000 at most, and when they arrived.

    ``first`` and ``last`` are ``None`` where there are none; ``is_more`` is true where there are
    more than are counted.
    """

    count: int
    is_more: bool
    first: datetime | None
    last: datetime | None

    def __str__(self) -> str:
        number = f"more than {self.count}" if self.is_more else str(self.count)
        if self.first is None:
            return number
        return f"{number}, the first of {self.first.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def set_aside(outcome: Outcome) -> SetAside:
    """Return how many deliveries have this outcome, in three queries for any number.

    Of the refused, those count that may yet be verified: what has no signature never can be, and
    what is older than the sample keeps is only not removed yet.
    """
    rows = Delivery.objects.filter(outcome=outcome)
    if outcome == Outcome.REFUSED:
        oldest = timezone.now() - timedelta(days=conf.refused_sample.days)
        rows = rows.filter(received_at__gte=oldest).exclude(signature="")
    count = rows.order_by()[: MAX_COUNTED + 1].count()
    # In the order of their ids, which the index has: hardly ever another than that of arrival.
    moments = rows.order_by("id").values_list("received_at", flat=True)
    return SetAside(
        min(count, MAX_COUNTED), count > MAX_COUNTED, moments.first(), moments.reverse().first()
    )
