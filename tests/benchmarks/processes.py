"""Processes and what Linux tells of them: a server, CPU time, memory."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

from tests.processes import children, free_port, stat

ROOT = Path(__file__).parents[2]
HAS_PROC = Path("/proc/self/stat").exists()
START = 30.0  # seconds that a server has to answer


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Return the CPU seconds that each process has used; those that cannot be read are left out.

    The scheduler's own count where there is one: that of clock ticks misses short bursts.
    """
    found = {}
    for pid in pids:
        try:
            threads = [*Path(f"/proc/{pid}/task").glob("*/schedstat")]
            spans = [int(thread.read_text().split()[0]) for thread in threads]
        except OSError:  # it has ended, or one of its threads has
            spans = []
        told = stat(pid)
        if spans:
            found[pid] = sum(spans) / 1e9
        elif told is not None:
            found[pid] = sum(map(int, told[11:13])) / os.sysconf("SC_CLK_TCK")
    return found


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Return the CPU seconds between two looks at a changing set of processes."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took: ``idle`` and ``peak`` are the memory of its process, in bytes."""

    seconds: float
    idle: int
    peak: int


def apart(function: Callable[..., object], *arguments: Any) -> Cost:
    """Call a function in a new process on this one's database, and return what it took.

    ``DJANGO_SETTINGS_MODULE`` must be in the environment.
    """
    from django.conf import settings
    from django.db import connection

    site = (str(connection.settings_dict["NAME"]), settings.SUPEROFFICE_HOOKS)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_apart, site, function, arguments).result()


def _apart(
    site: tuple[str, dict[str, Any]], function: Callable[..., object], arguments: Any
) -> Cost:
    import django
    from django.conf import settings

    django.setup()
    from django.db import connection

    connection.settings_dict["NAME"], settings.SUPEROFFICE_HOOKS = site
    connection.ensure_connection()
    idle, began = _peak(), time.perf_counter()
    try:
        function(*arguments)
        return Cost(time.perf_counter() - began, idle, _peak())
    finally:
        connection.close()


def _peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage tells of the process too from which this one was started
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


PLAIN, SHORT = "django.core.wsgi:get_wsgi_application()", "tests.wsgi"  # what gunicorn loads


class Server:
    """gunicorn on the loopback, each worker with a port of its own.

    Behind one port the kernel deals connections that are kept open by chance, now and then all to
    one worker. It leads sessions of its own, so that nothing else is ended with it.
    """

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        *,
        workers: int = 2,
        threads: int = 4,
        application: str = PLAIN,
    ) -> None:
        self.environment, self.log = os.environ | environment, log
        self.application = application
        self.workers, self.threads = workers, threads
        self.ports: list[int] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(self.workers):
                self._start()
            for port, process in zip(self.ports, self._started, strict=True):
                self._await(port, process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @property
    def pids(self) -> list[int]:
        """The processes: each master and its worker."""
        masters = [process.pid for process in self._started]
        return [*masters, *(child for master in masters for child in children(master))]

    @property
    def worker_pids(self) -> list[int]:
        """The processes that answer."""
        return [child for process in self._started for child in children(process.pid)]

    def _start(self) -> None:
        port = free_port()
        command = [
            *(sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--workers=1"),
            *("--worker-class=gthread", f"--threads={self.threads}", "--keep-alive=75"),
            *("--log-level=error", "--graceful-timeout=5"),
            self.application,
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.ports.append(port)
        self._started.append(process)

    def _await(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Wait until the worker answers: its master listens long before it has loaded the site."""
        until = time.monotonic() + START
        while time.monotonic() < until and process.poll() is None:
            client = HTTPConnection("127.0.0.1", port, timeout=START)
            try:
                client.request("GET", "/")
                client.getresponse().read()
                return
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                client.close()
        raise RuntimeError(f"gunicorn does not answer: {self.log.read_text()[-2000:]}")
