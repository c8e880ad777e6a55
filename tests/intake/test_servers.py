"""The same site behind gunicorn (WSGI) and uvicorn (ASGI), spoken to by raw bytes."""

import os
import socket
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.db import connection

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.wire.signature import sign
from tests.builders import URL, body, encode

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {
    "gunicorn": ["gunicorn", "--threads=4", "--bind={host}:{port}", "django.core.wsgi:{wsgi}()"],
    "webhook_first": ["gunicorn", "--threads=4", "--bind={host}:{port}", "tests.wsgi"],
    "uvicorn": [
        "uvicorn",
        "--factory",
        "--host={host}",
        "--port={port}",
        "--lifespan=off",
        "--log-level=error",
        "django.core.asgi:get_asgi_application",
    ],
}


@pytest.fixture(params=COMMANDS)
def server(request, transactional_db):
    """A server of the test site on the test's own database; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module, *options = [
        part.format(host="127.0.0.1", port=port, wsgi="get_wsgi_application")
        for part in COMMANDS[request.param]
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", module, *options],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | database(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            assert process.poll() is None, f"{request.param} ended with {process.returncode}"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def database():
    """Point the server at the database that the test looks into."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{name}"}
    return {"DATABASE_URL": f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"}


def talk(port, head, *parts, half_close=False):
    """Send one request as it is and return the status of the answer, None where none came."""
    with socket.create_connection(("127.0.0.1", port), 10) as connected:
        lines = [f"POST {URL} HTTP/1.1", "Host: localhost", "Connection: close", *head]
        connected.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        try:
            for part in parts:
                connected.sendall(part)
            if half_close:
                connected.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connected.recv(65536), b""))
        except ConnectionError:  # the server had enough before we had finished
            return None
    return int(answer.split(b" ", 2)[1]) if answer else None


def chunks(raw, size=1000):
    for start in range(0, len(raw), size):
        part = raw[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def signature(raw):
    return f"X-Superoffice-Signature: {sign(raw, settings.SECRET)}"


def stored():
    return [bytes(delivery.body) for delivery in Delivery.objects.all()]


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "3 MB"])
def test_a_body_with_its_length(server, size):
    raw = encode(body(FieldValues={"note": "x" * size}))
    assert talk(server, [signature(raw), f"Content-Length: {len(raw)}"], raw) == 200
    assert stored() == [raw]
    assert Event.objects.count() == 1


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "3 MB"])
def test_a_chunked_body(server, size):
    raw = encode(body(FieldValues={"note": "x" * size}))
    head = [signature(raw), "Transfer-Encoding: chunked"]
    assert talk(server, head, *chunks(raw, 100_000)) == 200
    assert stored() == [raw]
    assert Event.objects.count() == 1


def test_a_chunked_body_over_the_limit(server):
    raw = b"x" * (10 * 1024 * 1024 + 1)
    head = [signature(raw), "Transfer-Encoding: chunked"]
    assert talk(server, head, *chunks(raw, 1_000_000)) in (413, None)
    assert stored() == []


def test_a_body_that_is_announced_over_the_limit(server):
    raw = encode(body())
    head = [signature(raw), f"Content-Length: {10 * 1024 * 1024 + 1}"]
    assert talk(server, head, raw, half_close=True) in (413, None)
    assert stored() == []


def test_fewer_bytes_than_announced(server):
    raw = encode(body())
    head = [signature(raw), f"Content-Length: {len(raw) + 20}"]
    assert talk(server, head, raw, half_close=True) in (400, None)
    assert stored() == []


def test_a_chunked_body_that_breaks_off(server):
    raw = encode(body())
    head = [signature(raw), "Transfer-Encoding: chunked"]
    assert talk(server, head, next(chunks(raw)), half_close=True) in (400, None)
    assert stored() == []


def test_length_and_chunks_together_are_refused_or_read_as_chunks(server):
    raw = encode(body())
    head = [signature(raw), f"Content-Length: {len(raw)}", "Transfer-Encoding: chunked"]
    status = talk(server, head, *chunks(raw))
    assert (status, stored()) in ((400, []), (None, []), (200, [raw]))


def test_two_signature_headers(server):
    raw = encode(body())
    head = ["X-SuperOffice-Signature: bogus", signature(raw), f"Content-Length: {len(raw)}"]
    assert talk(server, head, raw) == 200
    assert stored() == [raw]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(lambda raw: [], id="no signature"),
        pytest.param(lambda raw: ["X-SuperOffice-Signature: \xe6\xf8\xe5"], id="not ASCII"),
        pytest.param(lambda raw: [signature(raw).replace("-", "_")], id="underscores"),
        pytest.param(lambda raw: [signature(raw + b" ")], id="of other bytes"),
    ],
)
def test_what_proves_nothing_is_refused(server, head):
    raw = encode(body())
    status = talk(server, [*head(raw), f"Content-Length: {len(raw)}"], raw)
    # The server itself may turn a header away; what the webhook refuses is kept as such.
    sample = list(Delivery.objects.values_list("outcome", flat=True))
    assert (status, sample) in ((400, []), (401, ["refused"]))
    assert not Event.objects.exists()
