"""A bad line between the site and its database: slow, lossy, or dead without a word."""

import asyncio
import random
import threading
from typing import Self

PART = 65536


class Link:
    """A proxy on the loopback in front of ``port``; its faults may be changed at any time.

    ``delay`` is added to each part in each direction, in seconds. ``loss`` is the probability
    that a part is not passed on and its connection is cut. While ``is_silent``, everything is
    swallowed and the connections stay open.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self._to = port
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay, self.loss, self.is_silent = 0.0, 0.0, False
        self.cuts = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def calm(self) -> None:
        """Be a good line again, for the connections that are still there and for new ones."""
        self.delay, self.loss, self.is_silent = 0.0, 0.0, False

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            far, forth = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            back.close()
            return
        ways = [
            asyncio.ensure_future(self._pass_on(near, forth)),
            asyncio.ensure_future(self._pass_on(far, back)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (back, forth):
                end.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while part := await source.read(PART):
            if self.is_silent:
                continue
            if self._random.random() < self.loss:
                self.cuts += 1
                return
            if self.delay:
                await asyncio.sleep(self.delay)
            target.write(part)
            await target.drain()
