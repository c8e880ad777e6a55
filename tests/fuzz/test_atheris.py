"""A short form of ``python -m tests.fuzz.atheris_bodies``."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import atheris_bodies

ROOT = Path(__file__).resolve().parents[2]
needs_atheris = pytest.mark.skipif(find_spec("atheris") is None, reason=atheris_bodies.MISSING)


def fuzz(folder, *options, prelude=""):
    call = f"import sys\nfrom tests.fuzz.atheris_bodies import main\nsys.exit(main({options}))"
    return subprocess.run(
        [sys.executable, "-c", f"{prelude}\n{call}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        timeout=300,
        check=False,
    )


@needs_atheris
def test_nothing_but_a_payload_error_comes_out_of_the_parser(tmp_path):
    done = fuzz(tmp_path, "-runs=20000", "-seed=20260302")
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said[-3000:]
    [runs] = re.findall(r"Done (\d+) runs", said)
    assert int(runs) >= 20_000  # it may finish what it is at
    assert list(tmp_path.iterdir()) == []


@needs_atheris
def test_what_else_comes_out_is_found_and_written_down(tmp_path):
    planted = (
        "import superoffice_hooks.wire.payload as payload\n"
        "def parse(raw):\n"
        "    if raw.startswith(b'{'): raise KeyError(raw[1])\n"
        "    return parsed(raw)\n"
        "parsed, payload.parse = payload.parse, parse"
    )
    done = fuzz(tmp_path, "-runs=20000", prelude=planted)
    assert done.returncode != 0
    assert b"KeyError" in done.stdout + done.stderr
    [crash] = tmp_path.iterdir()
    assert crash.read_bytes().startswith(b"{")


def test_without_atheris_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(atheris_bodies, "find_spec", lambda name: None)
    assert atheris_bodies.main([]) == 1
    assert capsys.readouterr().err == f"{atheris_bodies.MISSING}\n"
