"""One quarantined delivery once more, by today's parser and settings."""

import logging
from datetime import UTC

from django.db import router
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.conf import Endpoint, conf
from superoffice_hooks.exceptions import DeliveryError
from superoffice_hooks.intake.ingest import settle
from superoffice_hooks.intake.rows import Arrival, Row
from superoffice_hooks.models import Delivery, Event, Outcome

logger = logging.getLogger("superoffice_hooks.intake")


class ReprocessError(DeliveryError):
    """The delivery's endpoint takes nothing any more; nothing was changed."""


class SettledMeanwhileError(Exception):
    """Somebody else has settled the delivery; never leaves this module."""


@sensitive_variables()
def reprocess(delivery: Delivery, by: str) -> Delivery:
    """Settle a quarantined delivery as if it arrived today, and return it as it is now stored.

    It stays the same row. What it brings is stored with the moment when it arrived, the receivers
    of a new event are told, and ``reason`` says when and ``by`` whom it was processed again and
    what the reason was before. A delivery that is still unusable stays quarantined with today's
    reason. One that is not quarantined, or no longer, is returned as it is. The signature was
    proven on arrival and is not asked again.

    Raises ``ReprocessError`` where the endpoint is gone, and ``django.db.DatabaseError`` where
    the database cannot take it: then nothing was changed. Must not be called in a transaction.
    """
    stored = Delivery.objects.using(router.db_for_write(Delivery))
    delivery = stored.get(pk=delivery.pk)
    if delivery.outcome != Outcome.QUARANTINED:
        return delivery
    arrival = Arrival(
        endpoint=delivery.endpoint,
        received_at=delivery.received_at,
        body=bytes(delivery.body),
        headers=delivery.headers,
        remote_address=delivery.remote_address,
        signature=delivery.signature,
        key_id=delivery.key_id,
    )
    try:
        settled = settle(arrival, _endpoint(delivery.endpoint), QuarantinedRow(delivery.pk, by))
    except SettledMeanwhileError:
        return stored.get(pk=delivery.pk)
    logger.info("Delivery %s was processed again and is %s.", settled.pk, settled.outcome)
    return settled


class QuarantinedRow(Row):
    """The row of a quarantined delivery, locked until what becomes of it is written."""

    def __init__(self, pk: int, by: str) -> None:
        now = timezone.now().astimezone(UTC)
        self.pk = pk
        self.heading = f"Processed again at {now:%Y-%m-%dT%H:%M:%SZ} by {by}; before: "
        self.has_written = False

    def claim(self, alias: str) -> Delivery | None:
        """Lock the row; return it where an earlier attempt of this very call has settled it."""
        locked = Delivery.objects.using(alias).select_for_update().defer("body", "headers")
        self.delivery = locked.get(pk=self.pk)
        if self.delivery.outcome == Outcome.QUARANTINED:
            return None
        # The first attempt was committed, and only the database's answer was lost.
        if self.has_written and self.delivery.reason.startswith(self.heading):
            return self.delivery
        raise SettledMeanwhileError

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Write the outcome into the row, and leave what arrived as it is."""
        delivery = self.delivery
        delivery.reason = (
            reason if outcome == Outcome.QUARANTINED else f"{self.heading}{delivery.reason}"
        )
        delivery.outcome, delivery.event = outcome, event
        delivery.save(using=alias, update_fields=["outcome", "reason", "event"])
        delivery.body, delivery.headers = arrival.body, arrival.headers
        self.has_written = True
        return delivery

    def wrote(self, delivery: Delivery, arrival: Arrival) -> bool:
        """Never: another delivery is another row, and of its own ``claim`` knows."""
        return False


def _endpoint(name: str) -> Endpoint:
    endpoint = conf.endpoint(name)
    if endpoint is None:
        raise ReprocessError(f"There is no endpoint {name!r} any more.")
    if not any(secret.strip() for secret in endpoint.secrets):
        raise ReprocessError(f"The endpoint {name!r} has no secret any more: it takes nothing.")
    return endpoint
