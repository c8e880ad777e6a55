"""The webhook's URL: from an HTTP request to ``ingest``, and from its outcome to an answer."""

import logging
from typing import Any

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

RETRY_AFTER = "1"  # seconds; SuperOffice asks again after one, whatever it is told


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

    @sensitive_variables()
    def post(self, request: HttpRequest, endpoint: str = DEFAULT_ENDPOINT) -> HttpResponse:
        """Answer one delivery; the text says what became of it."""
        try:
            found = conf.endpoint(endpoint, is_away=breaker.rests)
            if found is None:
                return self._turn_away(404, "There is no such endpoint.", endpoint)
            body = read_body(request, conf.max_body_bytes)
            peer = request.META.get("REMOTE_ADDR", "")
            delivery = ingest(found, body, request.headers, peer)
        except BodyError as error:
            return self._turn_away(error.status, str(error), endpoint)
        except SignatureError as error:
            return self._turn_away(401, str(error), endpoint)
        except DatabaseError as error:
            # Without the traceback: its frames hold the values, and a report would show them.
            logger.error(
                "Delivery to endpoint %r could not be stored: %s", endpoint, in_short(error)
            )
            return self._try_again()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            logger.error("Delivery to endpoint %r could not be spooled: %s", endpoint, reason)
            return self._try_again()
        except Exception:
            # A mistake of ours or of the settings: nothing is stored, and 500 would say nothing.
            logger.exception("Delivery to endpoint %r could not be stored.", endpoint)
            return self._try_again()
        if delivery is None:
            return _answer(200, "spooled")
        if delivery.reason:
            logger.warning(
                "Delivery %s to endpoint %r is %s: %s",
                delivery.pk,
                endpoint,
                delivery.outcome,
                delivery.reason,
            )
            return _answer(200, f"{delivery.outcome}: {delivery.reason}")
        return _answer(200, delivery.outcome)

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer 405 without a body."""
        response = super().http_method_not_allowed(request, *args, **kwargs)
        return HttpResponse(status=response.status_code, headers={"Allow": response["Allow"]})

    def _try_again(self) -> HttpResponse:
        response = _answer(503, "The delivery could not be stored.")
        response["Retry-After"] = RETRY_AFTER
        return response

    def _turn_away(self, status: int, reason: str, endpoint: str) -> HttpResponse:
        logger.warning("Delivery to endpoint %r is answered %s: %s", endpoint, status, reason)
        return _answer(status, reason)


@sensitive_variables()
def read_body(request: HttpRequest, limit: int) -> bytes:
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


def _stream(request: HttpRequest) -> Any:
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


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


webhook = csrf_exempt(login_not_required(WebhookView.as_view()))
for _alias in connections:
    # The transaction is ingest's own: it must have ended before the answer goes out.
    webhook = transaction.non_atomic_requests(using=_alias)(webhook)
