"""The short way for deliveries: from the WSGI server to the webhook, past the site's middleware.

What Django and the site's middleware do with a request takes as long as storing a delivery, and
none of it is of use to one: there is no session, no user, no form and no page. Nor can any of it
turn a delivery away then.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, get_path_info
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.utils import timezone, translation

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ENDPOINT: Final = "superoffice_hooks.endpoint"  # where the environment names it
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
    handler = _Handler()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            path = get_path_info(environ)
            if path.startswith(begin) and (endpoint := _endpoint_at(path)):
                environ[_ENDPOINT] = endpoint
                return handler(environ, start_response)
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


class _Handler(WSGIHandler):
    """Django's handler with the webhook in the place of middleware and URL patterns."""

    def load_middleware(self, is_async: bool = False) -> None:
        from superoffice_hooks.intake.view import webhook

        def respond(request: HttpRequest) -> HttpResponse:
            # The request before this one may have been a person's.
            translation.deactivate()
            timezone.deactivate()
            response = cast("HttpResponse", webhook(request, request.META[_ENDPOINT]))
            response.headers["Content-Length"] = str(len(response.content))
            return response

        self._middleware_chain = convert_exception_to_response(respond)
