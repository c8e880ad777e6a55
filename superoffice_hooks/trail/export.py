"""Exports: any filtered list of the trail as CSV or NDJSON, and a manifest of what it holds.

Events are added and never changed. So the same selection in the same order up to the same id is
the same bytes at any later time: who lost the connection goes on after the last whole line that
arrived, and what a whole export holds can be found out by a second walk. Of deliveries this holds
but for a quarantined one that is processed again.
"""

import json
import logging
from collections.abc import Generator, Iterable

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from superoffice_hooks.trail.formats import Format
from superoffice_hooks.trail.manifest import Contents, Tally
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.selection import Selection

logger = logging.getLogger(__name__)


class Export:
    """The bytes of an export, from the beginning or after the place of the last line received.

    They can be iterated over once. When they end, or are given up, one line in the log says who
    took what. ``contents`` is what was written so far.
    """

    def __init__(self, selection: Selection, format: Format, place: Place | None = None) -> None:
        self.selection = selection
        self.format = format
        self.place = place
        self.made_at = timezone.now()
        self.contents = Contents(selection, {format.name: Tally()})

    @property
    def name(self) -> str:
        """The name of a file for it, without what tells the format."""
        return f"superoffice-{self.selection.source.what}-{self.made_at:%Y%m%dT%H%M%SZ}"

    @property
    def filename(self) -> str:
        """The name of a file for it."""
        return f"{self.name}.{self.format.name}"

    def __iter__(self) -> Generator[bytes]:
        """Yield the bytes."""
        columns, tally = self.selection.source.columns, self.contents.tallies[self.format.name]
        whole = False
        try:
            if self.place is None and (head := self.format.head(columns)):
                tally.add(head)
                yield head
            for rows in self.selection.walk(self.place):
                part = self.format.lines(columns, rows)
                self.contents.add(rows)
                tally.add(part)
                del rows  # a row may have megabytes, and the next is on its way
                yield part
                del part
            whole = True
        finally:
            self._log(whole, tally)

    def _log(self, whole: bool, tally: Tally) -> None:
        # As JSON, no name and no filter brings a line break of its own.
        logger.info(
            "Export of %s as %s by %s %s: filter %s, order %s, from %s until %d, "
            "%d rows, %d bytes, SHA-256 %s",
            self.selection.source.what,
            self.format.name,
            json.dumps(self.selection.user.get_username()),
            "ended" if whole else "was broken off",
            json.dumps(self.selection.filter, default=str),
            self.selection.order,
            self.place or "the beginning",
            self.selection.until,
            self.contents.count,
            tally.size,
            tally.digest.hexdigest(),
        )


def respond(
    request: HttpRequest, parts: Iterable[bytes], filename: str, content_type: str
) -> StreamingHttpResponse:
    """Return the response that streams these parts as a file, under WSGI and under ASGI.

    The view's transaction is over by then, and a reader who hangs up ends the iteration. HEAD is
    answered without beginning it.
    """
    headers = {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Cache-Control": "no-store",
    }
    if request.method == "HEAD":
        parts = ()
    if isinstance(request, ASGIRequest):
        return StreamingHttpResponse(_Asynchronous(parts), headers=headers)
    return StreamingHttpResponse(iter(parts), headers=headers)


class _Asynchronous:
    """Iterates in the thread of the request, where its database connection is.

    Django closes a response in that thread too; an asynchronous generator would be left to the
    garbage collector.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts = iter(parts)

    def __aiter__(self) -> "_Asynchronous":
        return self

    async def __anext__(self) -> bytes:
        part = await sync_to_async(self._next)()
        if part is None:
            raise StopAsyncIteration
        return part

    def _next(self) -> bytes | None:
        return next(self.parts, None)

    def close(self) -> None:
        """End the iteration."""
        if isinstance(self.parts, Generator):
            self.parts.close()
