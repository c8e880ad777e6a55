"""Ends the process, or fails, at a named step on the way from a post to the disk.

``CRASH="spool.fsync.before:0.01,commit.after:#7"`` kills with that probability, or at the seventh
passage of the step in this process. ``CRASH="turns:3"`` lets each process take the next step of
``STEPS`` in turn, and kills it at the third passage; ``CRASH_TURNS`` names the file in which they
count. What was hit is appended to the file ``CRASH_LOG``.

``FAIL="spool.write.before:ENOSPC/5,commit.before:OperationalError/300+40"`` raises at every fifth
passage, and at the last forty of every 300, so that trying again is of no use.

The app has no hooks for this: the functions of the standard library and of Django are replaced,
the former only as the spool uses them.
"""

import builtins
import errno
import os
import random
import signal
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

# The steps at which a process may end. ``write.half`` leaves a torn file.
STEPS = (
    "commit.before",
    "commit.after",
    "spool.create.before",
    "spool.create.after",
    "spool.write.before",
    "spool.write.half",
    "spool.write.after",
    "spool.fsync.before",
    "spool.fsync.after",
    "spool.rename.before",
    "spool.rename.after",
    "spool.folder.before",
    "spool.folder.after",
    "drain.commit.before",
    "drain.commit.after",
    "drain.unlink.before",
    "drain.unlink.after",
)


class Faults:
    """What is to happen at which passage; counts passages by process."""

    def __init__(self, crash: str, fail: str) -> None:
        self.crash = dict(part.rsplit(":", 1) for part in crash.split(",") if part)
        self.fail = {
            step: (error, int(every), int(run or 1))
            for step, _, told in (part.partition(":") for part in fail.split(",") if part)
            for error, _, often in [told.partition("/")]
            for every, _, run in [often.partition("+")]
        }
        self._lock = threading.Lock()
        self._pid = 0
        self._turn = ""

    def at(self, step: str) -> None:
        """Pass a step: go on, raise, or end."""
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            self._passed[step] += 1
            passage = self._passed[step]
        self._crash(step, passage)
        error, every, run = self.fail.get(step, ("", 1, 1))
        if error and passage % every >= every - run:
            if error == "OperationalError":
                raise OperationalError(f"planted at {step}")
            raise OSError(getattr(errno, error), f"planted at {step}")

    @contextmanager
    def around(self, step: str) -> Iterator[None]:
        """Pass a step before the block, and another after it."""
        self.at(f"{step}.before")
        yield
        self.at(f"{step}.after")

    def _begin(self) -> None:
        """Forget what the process has counted from which this one was forked."""
        self._pid, self._passed = os.getpid(), Counter[str]()
        self._random = random.Random()  # not the parent's: it would end all its children alike
        if "turns" in self.crash:
            turns = os.open(os.environ["CRASH_TURNS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(turns, b".")
            self._turn = STEPS[(os.lseek(turns, 0, os.SEEK_CUR) - 1) % len(STEPS)]
            os.close(turns)

    def _crash(self, step: str, passage: int) -> None:
        when = self.crash.get(step, "")
        if step == self._turn:
            when = f"#{self.crash['turns']}"
        if when.startswith("#"):
            due = passage == int(when[1:])
        else:
            due = bool(when) and self._random.random() < float(when)
        if due:
            if os.environ.get("CRASH_LOG"):
                log = os.open(os.environ["CRASH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.write(log, f"{step}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def install(crash: str, fail: str) -> None:
    """Replace what the steps pass through; nothing where nothing is asked for."""
    if not crash and not fail:
        return
    faults = Faults(crash, fail)
    _in_database(faults)
    _in_spool(faults)


def _in_database(faults: Faults) -> None:
    commit = BaseDatabaseWrapper._commit

    def passing(self: Any) -> None:
        with faults.around(_commit_step()):
            commit(self)

    BaseDatabaseWrapper._commit = passing

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        with ExitStack() as steps:
            steps.enter_context(faults.around("statement"))
            if ";SET LOCAL enable_seqscan = off;" in sql:  # one message is the whole transaction
                steps.enter_context(faults.around(_commit_step()))
            return run(sql, params, many, context)

    def wrap(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(execute)

    connection_created.connect(wrap, weak=False)


def _commit_step() -> str:
    return "drain.commit" if _is_draining() else "commit"


def _is_draining() -> bool:
    """Whether this is the drain's command or its thread."""
    return "superoffice_drain" in sys.argv or "drain" in threading.current_thread().name


def _in_spool(faults: Faults) -> None:
    from superoffice_hooks.intake import spool

    spool.os = _Os(faults)  # type: ignore[assignment]

    def opening(*args: Any) -> _File:
        return _File(builtins.open(*args), faults)  # closed by its own with

    spool.open = opening  # type: ignore[attr-defined]
    unlink = Path.unlink

    def passing(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".delivery" and _is_draining():
            with faults.around("drain.unlink"):
                unlink(self, missing_ok)
        else:
            unlink(self, missing_ok)

    Path.unlink = passing  # type: ignore[method-assign]


class _Os:
    """The module ``os``, as the spool sees it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, *mode: int) -> int:
        if not flags & os.O_CREAT:
            return os.open(path, flags, *mode)
        with self._faults.around("spool.create"):
            return os.open(path, flags, *mode)

    def fsync(self, descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        with self._faults.around("spool.folder" if is_folder else "spool.fsync"):
            os.fsync(descriptor)

    def rename(self, source: Any, target: Any) -> None:
        with self._faults.around("spool.rename"):
            os.rename(source, target)

    def unlink(self, path: Any) -> None:
        with self._faults.around("drain.unlink"):
            os.unlink(path)


class _File:
    """A file that is written in two halves."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> int:
        half = len(content) // 2
        with self._faults.around("spool.write"):
            self._file.write(content[:half])
            self._file.flush()
            self._faults.at("spool.write.half")
            self._file.write(content[half:])
            self._file.flush()
        return len(content)
