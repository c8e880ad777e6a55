"""The short way for deliveries: from the WSGI server to the webhook, past the site's middleware.

What Django and the site's middleware do with a request takes as long as storing a delivery, and
none of it is of use to one: there is no session, no user, no form and no page. Nor can any of it
turn a delivery away then.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, get_script_prefix, reverse

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ENDPOINT: Final = "superoffice_hooks.endpoint"  # where the environment names it


def webhook_first(application: Application) -> Application:
    """Answer deliveries before any middleware, and leave every other request to ``application``.

    For the site's ``wsgi.py``: ``application = webhook_first(get_wsgi_application())``. Deliveries
    are POSTs to the webhook's URLs in ``ROOT_URLCONF``. They are answered as by the view behind
    the middleware, and ``request_started`` and ``request_finished`` are sent.

    Not for a site whose middleware chooses the database or sets ``REMOTE_ADDR``. Raises
    ``ImproperlyConfigured`` where the site has no webhook.
    """
    # A site's wsgi.py imports this module before Django is set up.
    from superoffice_hooks.conf import DEFAULT_ENDPOINT

    try:
        url = reverse("superoffice_hooks:webhook").removeprefix(get_script_prefix().rstrip("/"))
    except NoReverseMatch:
        raise ImproperlyConfigured(
            "webhook_first() finds no webhook. Add to the urlpatterns of ROOT_URLCONF: "
            'path("superoffice/", include("superoffice_hooks.urls"))'
        ) from None
    path = re.compile(rf"{re.escape(url.rstrip('/'))}(?:/([-\w]+))?/?", re.ASCII)
    handler = _Handler()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST" and (found := path.fullmatch(environ["PATH_INFO"])):
            environ[_ENDPOINT] = found[1] or DEFAULT_ENDPOINT
            return handler(environ, start_response)
        return application(environ, start_response)

    return answer


class _Handler(WSGIHandler):
    """Django's handler with the webhook in the place of middleware and URL patterns."""

    def load_middleware(self, is_async: bool = False) -> None:
        from superoffice_hooks.intake.view import webhook

        def respond(request: HttpRequest) -> HttpResponse:
            response = cast("HttpResponse", webhook(request, request.META[_ENDPOINT]))
            response.headers["Content-Length"] = str(len(response.content))
            return response

        self._middleware_chain = convert_exception_to_response(respond)
