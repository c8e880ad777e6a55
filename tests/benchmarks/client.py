"""An HTTP client that costs little: one thread, connections kept open, requests made beforehand."""

import gc
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"
PATIENCE = 60.0  # seconds without any answer


@dataclass(slots=True)
class Run:
    """What came back: ``answers`` by status, 0 where the connection broke."""

    seconds: float
    answers: Counter[int]
    latencies: list[float] = field(repr=False)
    said: list[str] = field(default_factory=list)  # of the first answers that are not 200

    @property
    def count(self) -> int:
        """How many requests were answered."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """How many were answered 200 in a second."""
        return self.answers[200] / self.seconds

    def slower_than(self, share: float) -> float:
        """Return the seconds within which this share was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return one whole POST."""
    told = {"Host": HOST, "User-Agent": "benchmark", **headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


class Connection:
    """One connection with one request under way."""

    __slots__ = ("began", "port", "received", "socket")

    def __init__(self, port: int) -> None:
        self.port = port
        self.open()

    def open(self) -> None:
        """Connect, once more where it is connected."""
        self.socket = socket.create_connection((HOST, self.port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, wire: bytes) -> None:
        """Send a request, and note when."""
        self.received = b""
        self.began = time.perf_counter()
        self.socket.sendall(wire)

    def receive(self) -> tuple[int, bool] | None:
        """Return the status and whether the server hangs up, ``None`` while more is to come."""
        try:
            part = self.socket.recv(65536)
        except ConnectionError:
            part = b""
        if not part:
            return 0, True
        self.received += part
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.split(b"\r\n")
        named = {name.lower(): text.strip() for name, _, text in (x.partition(b":") for x in lines)}
        if len(body) < int(named[b"content-length"]):
            return None
        return int(first.split(b" ", 2)[1]), named.get(b"connection", b"").lower() == b"close"


def drive(
    ports: list[int], requests: Iterable[bytes], connections: int, seconds: float = 3600.0
) -> Run:
    """Keep this many connections busy until the time or the requests run out.

    The connections are dealt evenly to the ports. Whatever was sent is waited for, so that each
    request has its answer.
    """
    left, answers, latencies = iter(requests), Counter[int](), []
    said: list[str] = []
    opened = [Connection(ports[number % len(ports)]) for number in range(connections)]
    gc.disable()
    try:
        began = time.perf_counter()
        for connection, (status, latency) in _exchange(opened, left, began + seconds):
            answers[status] += 1
            latencies.append(latency)
            if status != 200 and len(said) < 3:
                text = connection.received.rpartition(b"\r\n\r\n")[2].decode("utf-8", "replace")
                said.append(f"{status} {' '.join(text.split())[:200]}")
        return Run(time.perf_counter() - began, answers, latencies, said)
    finally:
        gc.enable()
        for connection in opened:
            connection.socket.close()


def _exchange(
    opened: list[Connection], left: Iterator[bytes], until: float
) -> Iterator[tuple[Connection, tuple[int, float]]]:
    """Yield each answer, as the connection that has it, its status and its seconds."""
    busy = 0
    with selectors.DefaultSelector() as selector:
        for connection, wire in zip(opened, left, strict=False):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(wire)
            busy += 1
        while busy:
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"No answer within {PATIENCE:.0f} seconds.")
            for key, _ in ready:
                connection = key.data
                found = connection.receive()
                if found is None:
                    continue
                now = time.perf_counter()
                status, hangs_up = found
                yield connection, (status, now - connection.began)
                following = next(left, None) if now < until else None
                if hangs_up or following is None:
                    selector.unregister(connection.socket)
                if following is None:
                    busy -= 1
                    continue
                if hangs_up:
                    connection.socket.close()
                    connection.open()
                    selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.send(following)
