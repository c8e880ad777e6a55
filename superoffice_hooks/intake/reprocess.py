"""One stored delivery once more: a quarantined one by today's parser, a refused one by its secret.

A quarantined delivery was proven genuine on arrival and could not be used. A refused one was not
proven, because the secret in the settings was not SuperOffice's; with the right one it may be.
"""

import logging
from datetime import UTC
from typing import Final, NamedTuple

from django.db import router
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.conf import Endpoint, conf
from superoffice_hooks.exceptions import DeliveryError
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.rows import Row
from superoffice_hooks.intake.settle import settle
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.wire.signature import key_id, verify

logger = logging.getLogger("superoffice_hooks.intake")

PROCESSED: Final = "Processed again"
VERIFIED: Final = "Verified again"


class ReprocessError(DeliveryError):
    """The endpoint takes nothing any more, or the delivery is gone; nothing was changed."""


class SettledMeanwhileError(Exception):
    """Somebody else has settled the delivery; never leaves this module."""


class ForeseenError(Exception):
    """Ends the transaction of a rehearsal; never leaves this module."""


class Foreseen(NamedTuple):
    """What would become of a delivery, and the reason that it would be given, "" for none."""

    outcome: Outcome
    reason: str


@sensitive_variables()
def reprocess(delivery: Delivery, by: str) -> Delivery:
    """Settle a quarantined delivery as if it arrived today, and return it as it is now stored.

    It stays the same row. What it brings is stored with the moment when it arrived, the receivers
    of a new event are told, and ``reason`` says when and ``by`` whom it was processed again and
    what the reason was before. A delivery that is still unusable stays quarantined with today's
    reason. One that is not quarantined, or no longer, is returned as it is. The signature was
    proven on arrival and is not asked again.

    Raises ``ReprocessError`` where the endpoint or the delivery is gone, and
    ``django.db.DatabaseError`` where the database cannot take it: then nothing was changed. Must
    not be called in a transaction.
    """
    return _again(delivery, Outcome.QUARANTINED, PROCESSED, by)


@sensitive_variables()
def verify_again(delivery: Delivery, by: str) -> Delivery:
    """Settle a refused delivery if a secret that its endpoint has today gives its signature.

    It is returned as it is now stored: in the same row, with the moment when it arrived, the
    ``key_id`` of that secret, and a ``reason`` that says when and ``by`` whom it was verified
    again and why it was refused before. The receivers of a new event are told. A delivery that is
    not refused, or no longer, is returned as it is.

    Raises ``SignatureError`` where still nothing proves the sender, and whatever ``reprocess``
    raises: then nothing was changed. Must not be called in a transaction.
    """
    return _again(delivery, Outcome.REFUSED, VERIFIED, by)


@sensitive_variables()
def foresee(delivery: Delivery) -> Foreseen:
    """Return what ``reprocess`` or ``verify_again`` would make of a delivery; nothing is changed.

    It is done in earnest, up to the last statement, and rolled back. Raises what they raise.
    """
    delivery = _stored(delivery.pk)
    outcome = Outcome(delivery.outcome)
    if outcome not in (Outcome.QUARANTINED, Outcome.REFUSED):
        return Foreseen(outcome, delivery.reason)
    try:
        settled = settle(*_proven(delivery), RehearsedRow(delivery, outcome, ""))
    except ForeseenError as error:
        return Foreseen(*error.args)
    except SettledMeanwhileError:
        settled = _stored(delivery.pk)
    return Foreseen(Outcome(settled.outcome), settled.reason)


@sensitive_variables()
def _again(delivery: Delivery, outcome: Outcome, done: str, by: str) -> Delivery:
    delivery = _stored(delivery.pk)
    if delivery.outcome != outcome:
        return delivery
    now = timezone.now().astimezone(UTC)
    heading = f"{done} at {now:%Y-%m-%dT%H:%M:%SZ} by {by}; before: "
    try:
        settled = settle(*_proven(delivery), StoredRow(delivery, outcome, heading))
    except SettledMeanwhileError:
        return _stored(delivery.pk)
    logger.info("Delivery %s was %s and is %s.", settled.pk, done.lower(), settled.outcome)
    return settled


@sensitive_variables()
def _stored(pk: int) -> Delivery:
    """Return the delivery as it is now."""
    found = Delivery.objects.using(router.db_for_write(Delivery)).filter(pk=pk).first()
    if found is None:
        raise ReprocessError("The delivery is not kept any more: newer ones have its place.")
    return found


@sensitive_variables()
def _proven(delivery: Delivery) -> tuple[Arrival, Endpoint]:
    """Return what arrived, with the key that proves it, and where."""
    endpoint = _endpoint(delivery.endpoint)
    body = bytes(delivery.body)
    arrival = Arrival(
        endpoint=delivery.endpoint,
        received_at=delivery.received_at,
        body=body,
        headers=delivery.headers,
        remote_address=delivery.remote_address,
        signature=delivery.signature,
        key_id=delivery.key_id
        if delivery.outcome == Outcome.QUARANTINED
        else key_id(verify(body, delivery.signature, endpoint.secrets)),
    )
    return arrival, endpoint


class StoredRow(Row):
    """The row of a delivery that is stored already, locked until what becomes of it is written.

    ``outcome`` is what it must still have. The sample of refused deliveries may lose one in the
    very moment in which it is proven genuine: that is then written into a row of its own.
    """

    is_plain = False

    def __init__(self, delivery: Delivery, outcome: Outcome, heading: str) -> None:
        super().__init__()
        self.pk, self.before = delivery.pk, delivery.reason
        self.outcome, self.heading = outcome, heading
        self.is_known = outcome == Outcome.QUARANTINED  # whoever should know was alarmed then
        self.delivery: Delivery | None = None
        self.has_written = False

    def claim(self, alias: str) -> Delivery | None:
        """Lock the row; return it where an earlier attempt of this very call has settled it."""
        locked = Delivery.objects.using(alias).select_for_update().defer("body", "headers")
        self.delivery = locked.filter(pk=self.pk).first()
        if self.delivery is None or self.delivery.outcome == self.outcome:
            return None
        # The first attempt was committed, and only the database's answer was lost.
        if self.has_written and self.heading in self.delivery.reason:
            return self.delivery
        raise SettledMeanwhileError

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Write the outcome into the row, and leave what arrived as it is."""
        self.has_written = True
        delivery = self.delivery
        if delivery is None:
            delivery = super().write(arrival, outcome, self._told(outcome, reason), event, alias)
            self.pk = delivery.pk
            return delivery
        self.before = delivery.reason
        delivery.reason = self._told(outcome, reason)
        delivery.outcome, delivery.event, delivery.key_id = outcome, event, arrival.key_id
        delivery.save(using=alias, update_fields=["outcome", "reason", "event", "key_id"])
        delivery.body, delivery.headers = arrival.body, arrival.headers
        return delivery

    def wrote(self, delivery: Delivery, arrival: Arrival) -> bool:
        """Never: another delivery is another row, and of its own ``claim`` knows."""
        return False

    def _told(self, outcome: Outcome, reason: str) -> str:
        """Return the reason to store: today's first where it is quarantined, with its marks."""
        if outcome != Outcome.QUARANTINED:
            return f"{self.heading}{self.before}"
        if self.outcome == Outcome.REFUSED:
            return f"{reason} ({self.heading}{self.before})"
        _, mark, rest = self.before.partition(f" ({VERIFIED} at ")
        return f"{reason}{mark}{rest}"


class RehearsedRow(StoredRow):
    """A row that everything is done to, and nothing written: the transaction ends before."""

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Raise what would be written."""
        raise ForeseenError(outcome, reason)


def _endpoint(name: str) -> Endpoint:
    endpoint = conf.endpoint(name)
    if endpoint is None:
        raise ReprocessError(f"There is no endpoint {name!r} any more.")
    if not any(secret.strip() for secret in endpoint.secrets):
        raise ReprocessError(f"The endpoint {name!r} has no secret any more: it takes nothing.")
    return endpoint
