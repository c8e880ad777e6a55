"""The short way for deliveries: from the WSGI server to the webhook, past the site's middleware.

What Django and the site's middleware do with a request takes as long as storing a delivery, and
none of it is of use to one: there is no session, no user, no form and no page. Nor can any of it
turn a delivery away then.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import LimitedStream, WSGIRequest, get_path_info, get_script_name
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.http.request import HttpHeaders
from django.urls import (
    NoReverseMatch,
    Resolver404,
    get_script_prefix,
    resolve,
    reverse,
    set_script_prefix,
    set_urlconf,
)
from django.utils import timezone, translation
from django.utils.log import log_response

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PATHS: Final = 256  # whose endpoints are remembered


def webhook_first(application: Application) -> Application:
    """Answer deliveries before any middleware, and leave every other request to ``application``.

    For the site's ``wsgi.py``: ``application = webhook_first(get_wsgi_application())``. Deliveries
    are POSTs to the webhook's URL and its endpoints', where ``ROOT_URLCONF`` leads from there to
    the webhook itself, and not to what the site has wrapped around it. They are answered as by the
    view behind the middleware, and ``request_started`` and ``request_finished`` are sent. Receivers
    of ``event_recorded`` find the language and the time zone of the settings.

    Not for a site whose middleware chooses the database or the URLs for a request, or sets
    ``REMOTE_ADDR``. Raises ``ImproperlyConfigured`` where the site has no webhook.
    """
    try:
        url = reverse("superoffice_hooks:webhook").removeprefix(get_script_prefix().rstrip("/"))
    except NoReverseMatch:
        raise ImproperlyConfigured(
            "webhook_first() finds no webhook. Add to the urlpatterns of ROOT_URLCONF: "
            'path("superoffice/", include("superoffice_hooks.urls"))'
        ) from None
    begin = unquote(url).rstrip("/")

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            path = get_path_info(environ)
            if path.startswith(begin) and (endpoint := _endpoint_at(path)):
                return _answer(environ, start_response, endpoint)
        return application(environ, start_response)

    return answer


@lru_cache(_PATHS)
def _endpoint_at(path: str) -> str | None:
    """Return the endpoint whose deliveries come here; ``None`` where another view answers."""
    # A site's wsgi.py imports this module before Django is set up.
    from superoffice_hooks.conf import DEFAULT_ENDPOINT
    from superoffice_hooks.intake.view import webhook

    try:
        # The thread may have the language of another request.
        with translation.override(settings.LANGUAGE_CODE):
            match = resolve(path)
    except Resolver404:
        return None
    return match.kwargs.get("endpoint", DEFAULT_ENDPOINT) if match.func is webhook else None


class _Request:
    """What the webhook asks of a request, without the rest of what Django makes of one."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = self.META = environ
        self.headers: Mapping[str, str] = HttpHeaders(environ)
        try:
            length = int(environ.get("CONTENT_LENGTH"))  # type: ignore[arg-type]  # as Django does
        except (TypeError, ValueError):
            length = 0
        self.read = LimitedStream(environ["wsgi.input"], length).read


class _Content(list[bytes]):
    """The body of an answer, whose end Django is told of."""

    def close(self) -> None:
        request_finished.send(sender=webhook_first)


def _answer(
    environ: dict[str, Any], start_response: Callable[..., Any], endpoint: str
) -> Iterable[bytes]:
    """Do what Django's handler does for any request, and ask the webhook."""
    from superoffice_hooks.intake.view import CONTENT_TYPE, receive

    set_script_prefix(get_script_name(environ))
    set_urlconf(None)
    request_started.send(sender=webhook_first, environ=environ)
    # The request before this one may have been a person's.
    translation.deactivate()
    timezone.deactivate()
    answer = receive(_Request(environ), endpoint)
    content = answer.content
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(content)), **answer.headers}
    phrase = HTTPStatus(answer.status).phrase
    if answer.status >= 400:  # as Django does for every view
        # With what cannot be read again, nor fail: the body, and parameters of Content-Type.
        request = WSGIRequest({**environ, "wsgi.input": BytesIO(), "CONTENT_TYPE": ""})
        response = HttpResponse(status=answer.status)
        log_response("%s: %s", phrase, request.path, response=response, request=request)
    start_response(f"{answer.status} {phrase}", list(headers.items()))
    return _Content([content])
