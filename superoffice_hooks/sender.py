"""Posts signed bodies to a webhook's URL, as SuperOffice would."""

import socket
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from superoffice_hooks.samples import Sample
from superoffice_hooks.wire.signature import sign

FIRST_LINE = 200  # characters of a reply that are worth showing


@dataclass(frozen=True, slots=True)
class Reply:
    """What the webhook answered to one post: ``text`` is the first line, fit to be printed.

    ``server`` and ``date`` are what the headers of these names say, "" where there is none.
    """

    status: int
    text: str
    location: str
    seconds: float
    server: str = ""
    date: str = ""

    @property
    def outcome(self) -> str:
        """What to count this reply as: SuperOffice takes nothing but 200 for success."""
        if self.status != 200:
            return f"x {self.status}"
        return self.text.partition(":")[0] or "x 200"

    @property
    def hint(self) -> str:
        """What the status means where the answer is not the webhook's own; "" where it is."""
        if self.location:
            return _("redirects to %(location)s") % {"location": self.location}
        if self.text or self.status == 200:
            return ""
        return {
            400: _("the site refuses the request: is its host name in ALLOWED_HOSTS?"),
            403: _("the site refuses the request before the webhook sees it"),
            404: _("there is no webhook at this URL"),
        }.get(self.status, "")


class Sender:
    """Posts signed bodies to one webhook URL over one connection that is kept open.

    Raises ``ValueError`` for a URL that is not http(s) or a blank secret. Use it as a context
    manager.
    """

    def __init__(self, url: str, secret: str, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(_("It must begin with http:// or https:// and name a host."))
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError(_("It may hold neither spaces nor letters beyond ASCII."))
        self.url, self._secret = url, secret
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = connect(parts.hostname, parts.port, timeout=timeout)
        self._connection.response_class = _Response
        sign(b"", secret)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def post(self, sample: Sample) -> Reply:
        """Sign and post one body and return the reply; redirects are not followed.

        Raises ``OSError`` or ``http.client.HTTPException`` when the server cannot be reached or
        does not speak HTTP.
        """
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "NetServer-Webhook/superoffice_hooks",
            **sample.headers,
            "X-SuperOffice-Signature": sign(sample.body, self._secret),
        }
        started = time.perf_counter()
        # Closed here, and not when it is thrown away: a Ctrl-C in that moment would be swallowed.
        with self._request(sample.body, headers) as response:
            text = response.read()
        if not response.getheader("Content-Type", "").startswith("text/plain"):
            text = b""  # somebody's page, and not the webhook's answer
        first = text.partition(b"\n")[0][:FIRST_LINE].decode("utf-8", "replace").strip()
        return Reply(
            response.status,
            _printable(first),
            response.getheader("Location", ""),
            time.perf_counter() - started,
            _printable(response.getheader("Server", "")[:FIRST_LINE]),
            _printable(response.getheader("Date", "")[:FIRST_LINE]),
        )

    def _request(self, body: bytes, headers: dict[str, str]) -> HTTPResponse:
        kept_alive = self._connection.sock is not None
        try:
            return self._exchange(body, headers)
        except TimeoutError:
            self._connection.close()
            raise
        except (OSError, HTTPException):
            self._connection.close()
            # A server may close an idle connection at any time; a new one tells more.
            if not kept_alive:
                raise
        return self._exchange(body, headers)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> HTTPResponse:
        try:
            self._connection.request("POST", self._path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # A server that takes no large bodies may answer and hang up before it has the whole.
            return self._connection.getresponse()
        if hasattr(socket, "TCP_QUICKACK"):
            # runserver sends headers and text apart, and the text waits 40 ms for a slow ACK.
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return self._connection.getresponse()


class _Response(HTTPResponse):
    """Is quiet when Ctrl-C comes while it is made: it is closed then, and looks for its file."""

    fp = None  # type: ignore[assignment]  # until the constructor of HTTPResponse has set it


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


class Tally:
    """Counts replies by what they said, and sums them up in one line."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.failed = 0
        self._started = time.perf_counter()

    @property
    def posted(self) -> int:
        """How many posts were answered."""
        return self.outcomes.total()

    @property
    def seconds(self) -> float:
        """The time since counting began."""
        return time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Posts per second so far."""
        return self.posted / max(self.seconds, 1e-6)

    def add(self, reply: Reply) -> None:
        """Count one reply."""
        self.outcomes[reply.outcome] += 1
        self.failed += reply.status != 200

    def __str__(self) -> str:
        """``3000 posted in 12.3 s (244/s): 2969 recorded, 30 duplicate, 1 test``."""
        summary = _("%(posted)d posted in %(seconds).1f s (%(rate).0f/s)") % {
            "posted": self.posted,
            "seconds": self.seconds,
            "rate": self.rate,
        }
        parts = [f"{count} {outcome}" for outcome, count in self.outcomes.most_common()]
        return f"{summary}: {', '.join(parts)}" if parts else summary
