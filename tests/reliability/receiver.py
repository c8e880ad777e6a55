"""A receiver with its database, spool and journals in one folder, and the reckoning over it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.reliability.bodies import Wire
from tests.reliability.checker import Verdict
from tests.reliability.database import ROOT
from tests.reliability.journal import Journal
from tests.reliability.server import Process, Server
from tests.reliability.simulator import Figures, SuperOffice
from tests.settings import SECRET

DRAINED_WITHIN = 60.0  # seconds that are waited for the spool to be empty


class Receiver:
    """Starts everything on entering, and ends it on leaving.

    ``database_url`` names a database with the app's tables. ``environment`` is what the settings
    read. ``drainer`` is whether ``superoffice_drain --watch`` runs beside the server.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        environment: dict[str, str] | None = None,
        spool: bool = True,
        spool_dir: Path | None = None,
        drainer: bool = False,
        **server: Any,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.spool_dir = (spool_dir or folder / "spool") if spool else None
        self.log = folder / "server.log"
        # What every process is told; the faults are for the receiver and the drainer alone.
        self.base = {
            "DJANGO_SETTINGS_MODULE": "tests.reliability.settings",
            "DATABASE_URL": database_url,
            "TEST_DATABASE_FOLDER": str(folder),
            "SPOOL_DIR": str(self.spool_dir or ""),
            "HOME": str(folder),  # some servers keep things there
            "PYTHONPATH": str(ROOT),
        }
        self.environment = self.base | (environment or {})
        self._drainer, self._server = drainer, server
        self.journals: list[Path] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.server = stack.enter_context(Server(self.environment, self.log, **self._server))
            self.drainer = None
            if self._drainer:
                watch = [sys.executable, "-m", "django", "superoffice_drain", "--watch"]
                self.drainer = stack.enter_context(
                    Process(watch, self.environment, self.folder / "drainer.log")
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def run(self, module: str, *arguments: str) -> str:
        """Run a module without the faults, and return what it prints."""
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | self.base,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if ended.returncode > 1 or (ended.returncode and not ended.stdout):
            raise RuntimeError(f"{module} {arguments}: {ended.stderr[-3000:]}")
        return ended.stdout

    @contextmanager
    def superoffice(self, **options: Any) -> Iterator[SuperOffice]:
        """Give a SuperOffice whose webhook here is registered, with a journal of its own."""
        path = self.folder / f"journal-{len(self.journals)}.ndjson"
        self.journals.append(path)
        journal = Journal(path)
        seed = options.pop("seed", 0) * 1000 + len(self.journals)
        try:
            yield SuperOffice(self.server.url, SECRET, journal, seed=seed, **options).register(300)
        finally:
            journal.close()

    def spooled(self) -> int:
        """Return how many deliveries wait."""
        new = self.spool_dir and self.spool_dir / "new"
        return len(os.listdir(new)) if new and new.is_dir() else 0

    def drain(self) -> float:
        """Run ``superoffice_drain`` once, without faults; return the seconds that it took."""
        started = time.perf_counter()
        self.run("django", "superoffice_drain")
        return time.perf_counter() - started

    def drained(self, within: float = DRAINED_WITHIN) -> float:
        """Wait until nothing is in the spool; return the seconds that it took, at most so many."""
        started = time.perf_counter()
        while self.spooled() and time.perf_counter() - started < within:
            time.sleep(0.05)
        return time.perf_counter() - started

    def check(self) -> Verdict:
        """Reckon up all journals of this site; nothing may be under way."""
        spool = ["--spool", str(self.spool_dir)] if self.spool_dir else []
        told = self.run("tests.reliability.checker", *map(str, self.journals), *spool)
        return Verdict(**json.loads(told))


@contextmanager
def sending(office: SuperOffice, events: Iterable[Wire]) -> Iterator[Callable[[], Figures]]:
    """Send in the background; the block gets what waits for the end. It stops with the block."""
    result: list[Figures] = []
    thread = threading.Thread(target=lambda: result.append(office.send(events)))
    thread.start()

    def wait() -> Figures:
        thread.join()
        return result[0]

    try:
        yield wait
    finally:
        office.stop()
        thread.join()
