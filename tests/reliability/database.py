"""A PostgreSQL of the tests' own, to be stopped as a power cut would stop it."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.processes import free_port

ACCOUNT = "postgres"  # whose server it is where the tests are run by root, which PostgreSQL refuses


TABLES = "tables"
ROOT = Path(__file__).parents[2]


class MissingError(RuntimeError):
    """There is no PostgreSQL on this machine."""


def programs() -> Path:
    """Return the folder of ``initdb`` and ``pg_ctl``; raise ``MissingError`` without one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if shutil.which("pg_config"):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        folders.insert(0, Path(told.stdout.strip()))
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise MissingError("MISSING: initdb and pg_ctl, of the package postgresql")


def migrate(url: str) -> None:
    """Make the app's tables in this database."""
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "tests.reliability.settings",
                "DATABASE_URL": url,
                "TEST_DATABASE_FOLDER": folder,
            },
            capture_output=True,
            text=True,
        )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])


class Cluster:
    """A server with the durability of a real one: fsync and synchronous_commit are on."""

    def __init__(self) -> None:
        self._programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="reliability-postgres-"))
        self.port = free_port()
        self.databases = 0
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def __enter__(self) -> Self:
        self._run("initdb", "-D", "data", "-U", ACCOUNT, "--auth=trust", "-E", "UTF8", "-N")
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str, port: int = 0) -> str:
        """Return the ``DATABASE_URL`` of one of its databases."""
        return f"postgres://{ACCOUNT}@127.0.0.1:{port or self.port}/{name}"

    def create(self) -> str:
        """Make a database with the app's tables and nothing in them, and return its name."""
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", ACCOUNT]
        if not self.databases:
            self._run("createdb", *server, TABLES)
            migrate(self.url(TABLES))
        self.databases += 1
        name = f"reliability_{self.databases}"
        self._run("createdb", *server, "-T", TABLES, name)
        return name

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        given = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=on"
        self._run(
            "pg_ctl", "start", "-w", "-t", "60", "-D", "data", "-l", "log", "-o", f"{given} -N 200"
        )

    def stop(self) -> None:
        """Stop it at once, as if it had crashed; it recovers when it is started."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", "data")

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._programs / program), *options]
        if os.geteuid() == 0:
            command = ["runuser", "-u", ACCOUNT, "--", *command]
        # Its output into a file: the server inherits it, and a pipe would never end.
        with (self.folder / "commands").open("ab+") as output:
            ended = subprocess.run(
                command, cwd=self.folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
            if ended.returncode:
                output.seek(0)
                raise RuntimeError(f"{command}: {output.read().decode()[-2000:]}")
