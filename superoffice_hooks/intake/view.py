"""The webhook's URL: from an HTTP request to ``ingest``, and from its outcome to an answer."""

import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.conf import DEFAULT_ENDPOINT, conf
from superoffice_hooks.exceptions import BodyError, SignatureError, in_short
from superoffice_hooks.intake.deadline import breaker
from superoffice_hooks.intake.ingest import ingest

logger = logging.getLogger("superoffice_hooks.intake")

CONTENT_TYPE: Final = "text/plain; charset=utf-8"
RETRY_AFTER: Final = "1"  # seconds; SuperOffice asks again after one, whatever it is told


class WebhookView(View):
    """Receives SuperOffice's deliveries.

    What SuperOffice makes of the answer decides what is answered. Only 200 is success. After
    nine failures in a row it switches the webhook off, so that what is genuine is never refused
    for its content; after 410 it does so at once, so that 410 is never sent. A redirect is a
    failure, and so is 500, which would say nothing.

    ===================================================  ======
    recorded, duplicate, test, quarantined, spooled      200
    fewer bytes than announced, or unreadable            400
    no valid signature                                   401
    no such endpoint                                     404
    not POST                                             405
    larger than ``MAX_BODY_BYTES``                       413
    neither stored nor spooled, or no settings at all    503
    ===================================================  ======
    """

    http_method_names = ["post"]  # noqa: RUF012  # as Django declares it

    def post(self, request: HttpRequest, endpoint: str = DEFAULT_ENDPOINT) -> HttpResponse:
        """Answer one delivery; the text says what became of it."""
        answer = receive(request, endpoint)
        return HttpResponse(
            answer.content, status=answer.status, headers=answer.headers, content_type=CONTENT_TYPE
        )

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer 405 without a body."""
        response = super().http_method_not_allowed(request, *args, **kwargs)
        return HttpResponse(status=response.status_code, headers={"Allow": response["Allow"]})


class Answer(NamedTuple):
    """What SuperOffice is told of one delivery."""

    status: int
    text: str
    headers: Mapping[str, str] = {}

    @property
    def content(self) -> bytes:
        """The text as it is sent, with ``CONTENT_TYPE``."""
        return f"{self.text}\n".encode()


class Request(Protocol):
    """What is asked of a request: so much of Django's, or of a server's."""

    @property
    def META(self) -> Mapping[str, Any]:  # noqa: N802  # Django's name
        """The server's environment."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by names in any case."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes of the body, or fewer at its end; ``OSError`` where it breaks."""


@sensitive_variables()
def receive(request: Request, endpoint: str) -> Answer:
    """Take the delivery that a request brings, and return the answer, whatever goes wrong."""
    try:
        found = conf.endpoint(endpoint, is_away=breaker.rests)
        if found is None:
            return _turn_away(404, "There is no such endpoint.", endpoint)
        body = read_body(request, conf.max_body_bytes)
        delivery = ingest(found, body, request.headers, request.META.get("REMOTE_ADDR", ""))
    except BodyError as error:
        return _turn_away(error.status, str(error), endpoint)
    except SignatureError as error:
        return _turn_away(401, str(error), endpoint)
    except DatabaseError as error:
        # Without the traceback: its frames hold the values, and a report would show them.
        logger.error("Delivery to endpoint %r could not be stored: %s", endpoint, in_short(error))
        return _TRY_AGAIN
    except OSError as error:
        reason = error.strerror or type(error).__name__
        logger.error("Delivery to endpoint %r could not be spooled: %s", endpoint, reason)
        return _TRY_AGAIN
    except Exception:
        # A mistake of ours or of the settings: nothing is stored, and 500 would say nothing.
        logger.exception("Delivery to endpoint %r could not be stored.", endpoint)
        return _TRY_AGAIN
    if delivery is None:
        return Answer(200, "spooled")
    if delivery.reason:
        logger.warning(
            "Delivery %s to endpoint %r is %s: %s",
            delivery.pk,
            endpoint,
            delivery.outcome,
            delivery.reason,
        )
        return Answer(200, f"{delivery.outcome}: {delivery.reason}")
    return Answer(200, delivery.outcome)


_TRY_AGAIN: Final = Answer(503, "The delivery could not be stored.", {"Retry-After": RETRY_AFTER})


def _turn_away(status: int, reason: str, endpoint: str) -> Answer:
    logger.warning("Delivery to endpoint %r is answered %s: %s", endpoint, status, reason)
    return Answer(status, reason)


@sensitive_variables()
def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body, read once; raise ``BodyError`` if it is cut off or too large.

    ``limit`` is in bytes and takes the place of ``DATA_UPLOAD_MAX_MEMORY_SIZE``.
    """
    header = request.headers.get("Content-Length", "")
    announced = int(header) if header.isdecimal() and len(header) < 20 else None
    if announced is not None and announced > limit:
        raise BodyError(f"The body is larger than {limit} bytes.", 413)
    stream, body = _stream(request), bytearray()
    try:
        while len(body) <= limit and (part := stream.read(limit + 1 - len(body))):
            body += part
    except OSError:
        raise BodyError("The body could not be read to its end.", 400) from None
    if len(body) > limit:
        raise BodyError(f"The body is larger than {limit} bytes.", 413)
    if announced is not None and len(body) < announced:
        raise BodyError("The body is shorter than its Content-Length.", 400)
    return bytes(body)


def _stream(request: Request) -> Any:
    """Return what to read the body from.

    Under WSGI, Django takes a body without Content-Length for empty (ticket 35838). A server that
    ends the stream where the chunked body ends says so, and then the stream is read itself.
    """
    environ = getattr(request, "environ", None)
    if environ is None or not environ.get("HTTP_TRANSFER_ENCODING"):
        return request
    if not environ.get("wsgi.input_terminated"):
        raise BodyError("This server does not read chunked bodies.", 400)
    return environ["wsgi.input"]


webhook = csrf_exempt(login_not_required(WebhookView.as_view()))
for _alias in connections:
    # The transaction is ingest's own: it must have ended before the answer goes out.
    webhook = transaction.non_atomic_requests(using=_alias)(webhook)
