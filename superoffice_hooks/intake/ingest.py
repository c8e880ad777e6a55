"""One delivery, from its bytes to a place where it is safe: prove it, then store or spool it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from django.db import DatabaseError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import Endpoint, conf
from superoffice_hooks.exceptions import SignatureError, in_short
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import breaker
from superoffice_hooks.intake.drain import drainer
from superoffice_hooks.intake.refused import sample
from superoffice_hooks.intake.rows import Row
from superoffice_hooks.intake.settle import settle
from superoffice_hooks.intake.spool import Spool
from superoffice_hooks.models import Delivery
from superoffice_hooks.wire.signature import key_id, verify

logger = logging.getLogger("superoffice_hooks.intake")

SIGNATURE_HEADER: Final = "X-SuperOffice-Signature"

# Somebody's credentials are no evidence of ours, and the signature has a column of its own.
DROPPED_HEADERS: Final = frozenset(
    {"authorization", "cookie", "proxy-authorization", SIGNATURE_HEADER.lower()}
)
MAX_HEADERS: Final = 64
MAX_HEADER_LENGTH: Final = 1024


@sensitive_variables()
def ingest(
    endpoint: Endpoint, body: bytes, headers: Mapping[str, str], remote_address: str = ""
) -> Delivery | None:
    """Prove who sent this delivery, and return it when it is stored; ``None`` when it is spooled.

    ``body`` is the raw body, ``headers`` a case-insensitive mapping of the request's headers,
    ``remote_address`` the peer's. The returned ``Delivery`` is committed; its ``outcome`` and
    ``reason`` say what became of it. What is spooled is on disk.

    Raises ``SignatureError`` where nothing proves the sender; a sample of that is kept. Raises
    ``django.db.DatabaseError`` where the database cannot take it and there is no spool, and
    ``OSError`` where the spool cannot either.
    """
    signature = headers.get(SIGNATURE_HEADER, "")

    def arrived(key: str) -> Arrival:
        return Arrival(
            endpoint=endpoint.name,
            received_at=timezone.now(),
            body=body,
            headers=_evidence(headers),
            remote_address=_header_text(remote_address, 45),
            signature=_header_text(signature, 255),
            key_id=key,
        )

    try:
        secret = verify(body, signature, endpoint.secrets)
    except SignatureError as error:
        sample(arrived(""), str(error))
        raise
    arrival = arrived(key_id(secret))
    folder = conf.spool_dir
    if folder is None:
        return _store_or_fail(arrival, endpoint)
    return _store_or_spool(arrival, endpoint, folder)


@sensitive_variables()
def _store_or_fail(arrival: Arrival, endpoint: Endpoint) -> Delivery:
    try:
        return settle(arrival, endpoint)
    except DatabaseError:
        sound(
            Alarm.SPOOL_FAILED,
            endpoint.name,
            f"A delivery to endpoint {endpoint.name!r} was turned away: the database could not "
            "take it, and there is no SPOOL_DIR.",
        )
        raise


@sensitive_variables()
def _store_or_spool(arrival: Arrival, endpoint: Endpoint, folder: Path) -> Delivery | None:
    """Return the delivery if the database took it in time, else ``None``: then it is spooled."""
    is_spared = not breaker.allows()
    delivery = None if is_spared else _store(arrival, endpoint, folder)
    if delivery is not None:
        return delivery
    spool = Spool(folder)
    try:
        spool.keep(arrival)
    except OSError as error:
        if is_spared and (delivery := _store(arrival, endpoint, folder)) is not None:
            return delivery
        reason = error.strerror or type(error).__name__
        sound(
            Alarm.SPOOL_FAILED,
            endpoint.name,
            f"A delivery to endpoint {endpoint.name!r} was turned away: neither the database nor "
            f"the spool in {folder} could take it ({reason}).",
        )
        raise
    drainer.start(spool)
    sound(
        Alarm.SPOOL_IN_USE,
        endpoint.name,
        f"The database does not take deliveries to endpoint {endpoint.name!r}: they are kept in "
        f"{folder} until it does.",
    )
    return None


@sensitive_variables()
def _store(arrival: Arrival, endpoint: Endpoint, folder: Path) -> Delivery | None:
    """Return the delivery if the database took it in time, else ``None``, whatever it failed by."""
    try:
        delivery = settle(arrival, endpoint, Row(conf.store_timeout))
    except DatabaseError as error:
        breaker.trip()
        # Without the traceback: its frames hold the values, and a report would show them.
        logger.error(
            "Delivery to endpoint %r could not be stored: %s", endpoint.name, in_short(error)
        )
    except Exception:
        # A mistake of ours, or of the site's settings, must not cost the delivery.
        logger.exception("Delivery to endpoint %r could not be stored.", endpoint.name)
    else:
        breaker.reset()
        drainer.look(folder)
        return delivery
    return None


def _evidence(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are kept, SuperOffice's own first, so that none crowds them out."""
    first: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name, value in headers.items():
        lower = name.lower()
        if lower in DROPPED_HEADERS:
            continue
        header = _header_text(name, MAX_HEADER_LENGTH), _header_text(value, MAX_HEADER_LENGTH)
        (first if lower.startswith("x-superoffice-") else others).append(header)
    return dict((first + others)[:MAX_HEADERS])


def _header_text(text: str, length: int) -> str:
    """Cut a header's text, and show by a substitute what a column does not hold."""
    return text[:length].replace("\0", "\N{SYMBOL FOR NULL}")
