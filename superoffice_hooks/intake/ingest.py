"""One delivery, from its bytes to an outcome: prove it, then settle what becomes of it."""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.conf import Endpoint
from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake.rows import NEW_ROW, Arrival, Row, keep, record
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.payload import guid, parse
from superoffice_hooks.wire.signature import key_id, verify

SIGNATURE_HEADER: Final = "X-SuperOffice-Signature"
EVENT_ID_HEADER: Final = "X-SuperOffice-EventId"

# Somebody's credentials are no evidence of ours, and the signature has a column of its own.
DROPPED_HEADERS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", SIGNATURE_HEADER.lower()}
)
MAX_HEADERS: Final = 64
MAX_HEADER_LENGTH: Final = 1024
_BODY_NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://docs.superoffice.com/webhooks")


@sensitive_variables()
def ingest(
    endpoint: Endpoint, body: bytes, headers: Mapping[str, str], remote_address: str = ""
) -> Delivery:
    """Prove who sent this delivery, store it, and return it.

    ``body`` is the raw body, ``headers`` a case-insensitive mapping of the request's headers,
    ``remote_address`` the peer's. The returned ``Delivery`` is committed; its ``outcome`` and
    ``reason`` say what became of it.

    Raises ``SignatureError`` where nothing proves the sender: then nothing is stored. Raises
    ``django.db.DatabaseError`` where the database cannot take it.
    """
    signature = headers.get(SIGNATURE_HEADER, "")
    secret = verify(body, signature, endpoint.secrets)
    arrival = Arrival(
        endpoint=endpoint.name,
        received_at=timezone.now(),
        body=body,
        headers=_evidence(headers),
        remote_address=_header_text(remote_address, 45),
        signature=_header_text(signature, 255),
        key_id=key_id(secret),
    )
    return settle(arrival, endpoint)


@sensitive_variables()
def settle(arrival: Arrival, endpoint: Endpoint, row: Row = NEW_ROW) -> Delivery:
    """Parse and store what has been proven genuine, and tell the receivers of a new event.

    A body that cannot be an event, or names a tenant that the endpoint does not take, is
    quarantined and never refused. ``row`` is where the delivery is written. Raises
    ``django.db.DatabaseError`` as ``ingest`` does.
    """
    try:
        payload = parse(arrival.body)
    except PayloadError as error:
        return keep(arrival, Outcome.QUARANTINED, str(error), row=row)
    if payload.is_test:
        return keep(arrival, Outcome.TEST, row=row)
    if not endpoint.takes(payload.context_identifier):
        return keep(
            arrival,
            Outcome.QUARANTINED,
            "ContextIdentifier is missing, or names a tenant that this endpoint does not take.",
            row=row,
        )
    delivery = record(arrival, payload, payload.event_id or _stand_in(arrival), row)
    if delivery.outcome == Outcome.RECORDED:
        event_recorded.send_robust(sender=Event, event=delivery.event, delivery=delivery)
    return delivery


def _stand_in(arrival: Arrival) -> UUID:
    """Return the header's EventId for a body without one, else a UUID that the body determines.

    Either is the same when SuperOffice sends the same delivery again.
    """
    named = {name.lower(): value for name, value in arrival.headers.items()}
    return guid(named.get(EVENT_ID_HEADER.lower(), "")) or uuid5(
        _BODY_NAMESPACE, hashlib.sha256(arrival.body).hexdigest()
    )


def _evidence(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are kept, SuperOffice's own first, so that none crowds them out."""
    kept = [(name, value) for name, value in headers.items() if name.lower() not in DROPPED_HEADERS]
    kept.sort(key=lambda header: not header[0].lower().startswith("x-superoffice-"))
    return {
        _header_text(name, MAX_HEADER_LENGTH): _header_text(value, MAX_HEADER_LENGTH)
        for name, value in kept[:MAX_HEADERS]
    }


def _header_text(text: str, length: int) -> str:
    """Cut a header's text, and show by a substitute what a column does not hold."""
    return text[:length].replace("\0", "\N{SYMBOL FOR NULL}")
