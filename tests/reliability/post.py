"""The sender's side of HTTP: one connection, kept open, and an answer or none."""

import select
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``status`` is 0 where nothing did, and ``text`` then says why."""

    status: int
    text: str
    seconds: float


class Connection:
    """Posts bodies to one URL, each once.

    An idle connection that the other end has closed is replaced before a post, as any client's
    pool does. What fails under way is not posted again: that is the business of SuperOffice's
    retries. Plain sockets, because ``http.client`` costs the machine as much as the receiver.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Post once; never raises."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{self._head}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        started = time.perf_counter()
        try:
            status, text = self._exchange(head + body)
        except (OSError, ValueError) as error:
            self.close()
            status, text = 0, type(error).__name__
        return Answer(status, text, time.perf_counter() - started)

    def close(self) -> None:
        """Close the connection; the next post opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes) -> tuple[int, str]:
        connected = self._connected()
        connected.sendall(request)
        received = b""
        while HEAD_END not in received:
            received += self._receive(connected)
        head, _, body = received.partition(HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = headers.get("content-length")
        if length is not None:
            while len(body) < int(length):
                body += self._receive(connected)
        if length is None or headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split(" ", 2)[1]), body[:200].decode("utf-8", "replace").strip()

    def _receive(self, connected: socket.socket) -> bytes:
        part = connected.recv(65536)
        if not part:
            raise ConnectionAbortedError("The answer ended before its end.")
        return part

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(0):
                return self._socket
            self.close()  # the other end has closed it, or talks out of turn
        self._socket = socket.create_connection(self._address, self._timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket
