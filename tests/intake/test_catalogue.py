"""Every case of the catalogue through Django's WSGI and ASGI handlers, and by the short way."""

import asyncio
import io
from dataclasses import replace
from functools import cache
from urllib.parse import unquote, unquote_to_bytes

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wsgi import webhook_first
from tests.intake.catalogue import CATALOGUE, NO_HOST, Case

pytestmark = pytest.mark.django_db

PART = 65_536  # bytes that a server hands over at once


class Stream(io.BytesIO):
    """A body as a server gives it: in parts, and ended where it ends on the wire."""

    def read(self, size=-1):
        return super().read(PART if size < 0 else min(size, PART))


@pytest.fixture(autouse=True)
def _one_connection():
    """The connection outlives the request, as with Django's test client: it is the test's."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@cache
def wsgi_handler():
    return WSGIHandler()


@cache
def asgi_handler():
    return ASGIHandler()


@cache
def short_handler():
    return webhook_first(WSGIHandler())


def by_wsgi(case, handler=wsgi_handler):
    """Send the case as gunicorn would; return the answer's status, headers and body."""
    path, _, query = case.target.partition("?")
    environ = {
        "REQUEST_METHOD": case.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": case.peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": Stream(case.raw),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in case.sent_headers():
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    started = []
    response = handler()(environ, lambda status, headers: started.append((status, headers)))
    try:
        content = b"".join(response)
    finally:
        response.close()
    [(status, headers)] = started
    return int(status[:3]), {name.lower(): value for name, value in headers}, content


def by_webhook_first(case):
    """Send the case as gunicorn would, to a site whose deliveries take the short way."""
    return by_wsgi(case, short_handler)


def by_asgi(case):
    """Send the case as uvicorn would; return the answer's status, headers and body."""
    path, _, query = case.target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": case.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in case.sent_headers()
        ],
        "client": (case.peer, 50_000) if case.peer else None,
        "server": ("127.0.0.1", 80),
    }
    parts = [case.raw[start : start + PART] for start in range(0, len(case.raw), PART)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]
    sent = []

    async def talk():
        async def receive():
            if messages:
                return messages.pop(0)
            return await forever()

        async def send(message):
            sent.append(message)

        await asgi_handler()(scope, receive, send)

    async_to_sync(talk)()
    start, *rest = sent
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(message.get("body", b"") for message in rest)


async def forever():
    """Say nothing more, as a connection that stays open; Django cancels it after its answer."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("send", [by_wsgi, by_webhook_first, by_asgi])
@pytest.mark.parametrize("case", CATALOGUE)
def test_every_case_is_answered_and_stored_as_the_catalogue_says(case, send, settings):
    if send is by_webhook_first and case.headers == (NO_HOST,):  # who asks for it is middleware
        case = replace(case, status=200, outcome="recorded")
    if case.hooks is not None:
        settings.SUPEROFFICE_HOOKS = case.hooks
    for raw in case.before:
        assert send(Case(raw=raw))[0] == 200
    deliveries = set(Delivery.objects.values_list("pk", flat=True))
    events = Event.objects.count()

    status, headers, content = send(case)
    stored = Delivery.objects.exclude(pk__in=deliveries)

    assert status == case.status
    assert "location" not in headers
    assert case.says in content.decode()
    assert [delivery.outcome for delivery in stored] == ([case.outcome] if case.outcome else [])
    assert [bytes(delivery.body) for delivery in stored] == ([case.raw] if case.outcome else [])
    assert Event.objects.count() - events == (case.outcome == "recorded")
    if case.outcome:
        [delivery] = stored
        said = [text for text in (delivery.outcome, delivery.reason) if text]
        assert content.decode() == f"{delivery.reason if status == 401 else ': '.join(said)}\n"
    if status == 405:
        assert (headers["allow"], content) == ("POST", b"")


def test_no_case_is_answered_by_what_costs_the_webhook():
    statuses = {param.values[0].status for param in CATALOGUE}
    assert statuses == {200, 400, 401, 404, 405, 413}
