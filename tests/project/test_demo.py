"""``manage.py demo`` as a person runs it: a process of its own, in a copy of the site."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")


@pytest.fixture
def site(tmp_path) -> Path:
    """A copy of the demo site, whose database file is nobody's."""
    shutil.copy(ROOT / "manage.py", tmp_path)
    for folder in ("project", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


@contextmanager
def start(site: Path, *args: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo, and end it whatever comes: a test that fails must not wait for it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "DATABASE_", "SUPEROFFICE_"))
    }
    with subprocess.Popen(
        [sys.executable, "manage.py", "demo", *args],
        cwd=site,
        env=kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(site: Path, *args: str, **environ: str) -> tuple[int, str, str]:
    with start(site, *args, **environ) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def get(url: str, **headers: str) -> bytes:
    with urlopen(Request(url, headers=headers), timeout=30) as response:
        content: bytes = response.read()
    return content


def summary(out: str) -> dict[str, int]:
    """The counts of the line ``60 posted in 0.3 s (225/s): 56 recorded, …``."""
    [(posted, counts)] = re.findall(r"(\d+) posted in [\d.]+ s \(\d+/s\): (.*)\n", out)
    told = {name: int(count) for count, name in re.findall(r"(\d+) ([^,]+)", counts)}
    return told | {"posted": int(posted)}


AS_EXPECTED = {"posted": 60, "recorded": 56, "duplicate": 1, "quarantined": 2, "test": 1}


def test_posts_sums_up_and_exits(site):
    code, out, err = run(site, "--exit", "--events", "60", "--port", "0")
    assert (code, err) == (0, "")
    assert summary(out) == AS_EXPECTED
    [port] = re.findall(r"http://127\.0\.0\.1:(\d+)/admin/superoffice_hooks/event/\n", out)
    curl = f"curl -u demo:demo 'http://127.0.0.1:{port}/superoffice/api/events/?entity="
    assert curl in out
    assert "without --exit it serves on" in out
    secret = "demo-only-webhook-secret-never-use-it-elsewhere"
    assert f"superoffice_send http://127.0.0.1:{port}/superoffice/webhook/ --secret={secret}" in out


def test_a_second_run_begins_with_an_empty_database(site):
    first = run(site, "--exit", "--events", "60", "--port", "0")
    assert list(site.glob("*-port")) == []  # or whoever listens there next would be taken for it
    (site / "demo.sqlite3").write_bytes(b"left over, and no database")
    second = run(site, "--exit", "--events", "60", "--port", "0")
    assert first[0] == second[0] == 0
    assert summary(second[1]) == AS_EXPECTED


def test_a_database_of_somebody_is_kept(site):
    theirs = {"DATABASE_URL": f"sqlite:///{site / 'theirs.sqlite3'}"}
    assert run(site, "--exit", "--events", "20", "--port", "0", **theirs)[0] == 0
    inode = (site / "theirs.sqlite3").stat().st_ino
    assert run(site, "--exit", "--events", "20", "--port", "0", **theirs)[0] == 0
    assert (site / "theirs.sqlite3").stat().st_ino == inode
    assert not (site / "demo.sqlite3").exists()


def test_serves_admin_and_api_until_ctrl_c(site):
    with start(site, "--events", "60", "--port", "0") as process:
        assert process.stdout is not None
        base = ""
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                base = found[0]
            if "Ctrl-C" in line:
                break
        front = get(f"{base}/").decode()
        for link in re.findall('<a href="(.*?)"', front)[:3]:
            assert b'name="username"' in get(base + link.replace("&amp;", "&"))
        assert "/superoffice/api/schema/docs/" in front
        assert b"--" in get(f"{base}/static/admin/css/base.css")
        login = "Basic " + base64.b64encode(b"demo:demo").decode()
        url = f"{base}/superoffice/api/events/?entity=sale&action=deleted"
        page: dict[str, Any] = json.loads(get(url, Authorization=login))
        assert page["results"]
        assert all(event["name"] == "sale.deleted" for event in page["results"])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert out.strip() == "Stopped."
    assert (process.returncode, err) == (0, "")


def test_ctrl_c_while_posting(site):
    with start(site, "--events", "100000", "--port", "0") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("500 of 100000, ") for line in lines)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert out.strip().splitlines()[-1] == "Stopped."
    assert (process.returncode, err) == (130, "")


def test_port_in_use(site):
    (site / "demo.sqlite3").write_bytes(b"of the demo that runs already")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run(site, "--exit", "--port", str(port))
    assert (code, out) == (1, "")
    assert err == (
        f"CommandError: Port {port} cannot be had: it is in use. Use --port to name another.\n"
    )
    assert (site / "demo.sqlite3").read_bytes() == b"of the demo that runs already"


def test_a_demo_that_runs_keeps_its_database(site):
    with start(site, "--events", "20", "--port", "0") as process:
        assert process.stdout is not None
        assert any("Ctrl-C" in line for line in iter(process.stdout.readline, ""))
        inode = (site / "demo.sqlite3").stat().st_ino
        code, _out, err = run(site, "--exit", "--events", "5", "--port", "0")
        assert (code, (site / "demo.sqlite3").stat().st_ino) == (1, inode)
        assert "A demo runs on port" in err
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert run(site, "--exit", "--events", "5", "--port", "0")[0] == 0


def test_impossible_port(site):
    code, _, err = run(site, "--exit", "--port", "70000")
    assert code == 1
    assert re.fullmatch(r"CommandError: Port 70000 .*Use --port to name another\.\n", err)


@pytest.mark.parametrize("path", ["/dev/null/demo.sqlite3", "/missing/folder/demo.sqlite3"])
def test_a_folder_that_cannot_be_written(site, path):
    code, out, err = run(site, "--exit", "--port", "0", DATABASE_URL=f"sqlite:///{path}")
    assert (code, out) == (1, "")
    assert (
        err == f"CommandError: The database {path} cannot be used: unable to open database file\n"
    )


def test_a_database_in_memory(site):
    code, _, err = run(site, "--exit", "--port", "0", DATABASE_URL="sqlite://:memory:")
    assert code == 1
    assert len(err.splitlines()) == 1


def test_deliveries_that_fail_are_an_error(site):
    settings = site / "project" / "settings.py"
    settings.write_text(settings.read_text() + '\nSUPEROFFICE_HOOKS = {"SECRETS": ["another"]}\n')
    code, out, err = run(site, "--exit", "--events", "3", "--port", "0")
    assert code == 1
    assert "3 x 401" in out
    assert err.splitlines()[-1] == "CommandError: Not answered with 200: 3 of 3."


@pytest.mark.parametrize("url", ["nonsense", "foo://bar/x", "mysql://h:port/x"])
def test_a_database_url_that_cannot_be_read(site, url):
    code, _, err = run(site, "--exit", "--port", "0", DATABASE_URL=url)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "DATABASE_URL" in err
