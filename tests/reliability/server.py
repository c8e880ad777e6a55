"""The receiver under test: processes that can be killed, and are started again at once."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.builders import URL
from tests.processes import children

KINDS = ("gunicorn", "uvicorn")


class Process:
    """A command that is started again whenever it ends, as systemd would.

    It leads a session of its own, so that nothing else is ended with it.
    """

    def __init__(
        self, command: list[str], environment: dict[str, str], log: Path, descriptor: int = -1
    ) -> None:
        self.command, self.log, self.descriptor = command, log, descriptor
        self.environment = os.environ | environment
        self.starts = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._start()
        self._thread = threading.Thread(target=self._keep_alive)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill_tree()
        self._thread.join()
        self._end_group()

    def kill_tree(self) -> None:
        """End it and all that it started, at once."""
        with self._lock:
            self._end_group()

    def kill_child(self, rng: random.Random) -> bool:
        """End one of the processes that it started, and nothing else; whether there was one."""
        started = children(self._process.pid)
        if not started:
            return False
        try:
            os.kill(rng.choice(started), signal.SIGKILL)
        except ProcessLookupError:  # it had ended by itself
            return False
        return True

    def _start(self) -> None:
        with self._lock, self.log.open("ab") as log:
            self.starts += 1
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self.descriptor,) if self.descriptor >= 0 else (),
            )

    def _keep_alive(self) -> None:
        while True:
            self._process.wait()
            if self._stopping.is_set():
                return
            with self._lock:
                self._end_group()  # workers that have outlived their master
            if self._stopping.wait(0.05):
                return
            self._start()

    def _end_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Server(Process):
    """gunicorn or uvicorn on the loopback; its socket outlives it.

    Connections that come while it is down wait until it is up again.
    """

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        *,
        kind: str = "gunicorn",
        workers: int = 2,
        threads: int = 8,
    ) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(1024)
        descriptor = self._socket.fileno()
        given = {
            "gunicorn": [
                *("gunicorn", f"--bind=fd://{descriptor}", f"--workers={workers}"),
                *("--worker-class=gthread", f"--threads={threads}", "--preload"),
                *("--keep-alive=75", "--timeout=60", "--graceful-timeout=5"),
                *("--log-level=error", "django.core.wsgi:get_wsgi_application()"),
            ],
            "uvicorn": [
                *("uvicorn", "--factory", f"--fd={descriptor}", "--lifespan=off"),
                *("--timeout-keep-alive=75", "--log-level=error", "--no-access-log"),
                "django.core.asgi:get_asgi_application",
            ],
        }[kind]
        super().__init__([sys.executable, "-m", *given], environment, log, descriptor)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._socket.close()

    @property
    def url(self) -> str:
        """The webhook's URL."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{URL}"
