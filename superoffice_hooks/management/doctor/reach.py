"""Whether a delivery that SuperOffice posts to the public URL arrives."""

import json
import math
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Final
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from superoffice_hooks.conf import conf
from superoffice_hooks.management.doctor.database import clock
from superoffice_hooks.management.doctor.finding import Finding, error, ok, warning
from superoffice_hooks.samples import Sample
from superoffice_hooks.sender import Reply, Sender

LARGE: Final = 2**20 + 2**16  # bytes: just over what nginx takes unless it is told
SLOW: Final = 2.0  # seconds; SuperOffice gives up after some more

_NEXT: Final = {
    400: "Add the host name of the URL to ALLOWED_HOSTS.",
    401: "See that this terminal and the server have the same secret, and start the server again "
    "if it was changed.",
    403: "Find what stands before the webhook: a firewall, basic authentication or a middleware.",
    404: "See that the URL ends in webhook/ or webhook/<endpoint>/, below the include() of "
    "superoffice_hooks.urls.",
    405: "Find what stands before the webhook and lets no POST through.",
    503: "See the server's log, logger superoffice_hooks.intake.",
}


def reach(url: str, endpoint: str) -> Iterator[Finding]:
    """Post a signed test event to the URL, then one of just over 1 MiB; yield what comes back.

    Each is stored as a delivery of its own where it arrives.
    """
    try:
        found, largest = conf.endpoint(endpoint), conf.max_body_bytes
    except ImproperlyConfigured:
        return  # the check E002 says it
    secret = next((one for one in found.secrets if one.strip()), None) if found else None
    if secret is None:
        yield error(
            f"The settings have no secret for the endpoint {endpoint!r}.",
            "Name another with --endpoint, or give it a secret.",
        )
        return
    try:
        sender = Sender(url, secret)
    except ValueError as failure:
        yield error(f"{url} is not a webhook's URL. {failure}", "Correct --url.")
        return
    with sender:
        before = timezone.now()
        try:
            reply = sender.post(_test_event())
        except (OSError, HTTPException) as failure:
            yield _no_answer(url, failure)
            return
        yield _judge(reply)
        yield from _clock_of(reply, before)
        if reply.status != 200:
            return
        try:
            reply = sender.post(_test_event(LARGE))
        except (OSError, HTTPException) as failure:
            yield error(
                f"A test event of 1 MiB was cut off ({_reason(failure)}), a small one arrived.",
                _raise_limits(largest),
            )
            return
        yield _judge_large(reply, largest)


def _test_event(size: int = 0) -> Sample:
    """Return what SuperOffice sends on registration, filled up to at least so many bytes."""
    event_id = str(uuid4())
    told = {
        "EventId": event_id,
        "Timestamp": timezone.now().astimezone(UTC).isoformat(),
        "Changes": [],
        "Event": "test",
        "PrimaryKey": 0,
        "Entity": "test",
        "ContextIdentifier": "Default",
        "ChangedByAssociateId": 0,
        "WebhookName": "superoffice_doctor",
    }
    if size:
        told["Filling"] = "x" * size
    headers = {
        "X-SuperOffice-Event": "test",
        "X-SuperOffice-EventId": event_id,
        "X-SuperOffice-Retry": "0",
        "X-Hook-Test": "true",
    }
    return Sample(json.dumps(told).encode("ascii"), headers)


def _judge(reply: Reply) -> Finding:
    took = f"{reply.seconds * 1000:.0f} ms"
    if reply.status == 200 and reply.text == "test":
        if reply.seconds > SLOW:
            return warning(
                f"The test event was answered 200 only after {took}; SuperOffice waits seconds.",
                "Run the command again; if it stays so, see what the server waits for.",
            )
        return ok(f"The test event arrived and was answered 200 in {took}.")
    if reply.status == 200 and reply.text == "spooled":
        return warning(
            f"The test event was answered 200 in {took}, but spooled: the server's database does "
            "not take deliveries.",
            "See the server's log, logger superoffice_hooks.intake.",
        )
    if reply.status == 200:
        return error(
            "The URL answers 200, but is not the webhook: what is posted there is lost.",
            "See what answers there; the webhook says test.",
        )
    if reply.location:
        return error(
            f"The URL redirects ({reply.status}) to {reply.location}, which SuperOffice counts as "
            "a failure.",
            "Register the webhook with the URL that it redirects to.",
        )
    said = f": {reply.text}" if reply.text else ""
    return error(
        f"The test event was answered {reply.status} in {took}{said}",
        _NEXT.get(reply.status, "See the log of the server, and of the proxy before it."),
    )


def _judge_large(reply: Reply, largest: int) -> Finding:
    if reply.status == 413:
        return _too_large(reply, largest)
    if reply.status != 200:
        return error(
            f"A test event of 1 MiB was answered {reply.status}, a small one 200.",
            "See the log of the proxy before the server, and what it allows for a body.",
        )
    return ok("A test event of 1 MiB arrived.")


def _too_large(reply: Reply, largest: int) -> Finding:
    if reply.text:  # only the webhook answers in plain text
        return warning(
            "A test event of 1 MiB was answered 413 by the webhook itself: MAX_BODY_BYTES is less.",
            'Raise SUPEROFFICE_HOOKS["MAX_BODY_BYTES"], whose default is 10 MiB.',
        )
    who = f" by {reply.server}" if reply.server else ""
    return error(
        f"A test event of 1 MiB was answered 413{who}, before it reached the webhook: large "
        "deliveries are lost.",
        _raise_limits(largest),
    )


def _raise_limits(largest: int) -> str:
    return (
        f"In nginx set client_max_body_size {math.ceil(largest / 2**20)}m; in Apache "
        f"LimitRequestBody {largest}; elsewhere what limits a body."
    )


def _clock_of(reply: Reply, before: datetime) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(reply.date)
    except ValueError:
        return
    if theirs.tzinfo is not None:
        yield clock("The clock of the URL's server", theirs, before, timezone.now())


def _no_answer(url: str, failure: Exception) -> Finding:
    if isinstance(failure, ssl.SSLError):
        reason = getattr(failure, "verify_message", "") or failure.reason or str(failure)
        return error(
            f"{url} speaks no TLS that can be trusted ({reason}).",
            "Renew the certificate, with its whole chain and the host's name in it.",
        )
    return error(
        f"No answer from {url} ({_reason(failure)}).",
        "See that the server and the proxy before it run, and that the name leads to them.",
    )


def _reason(failure: Exception) -> str:
    return getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
