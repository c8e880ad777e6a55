"""``superoffice_drain``: once, watching, and dry."""

import io
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from superoffice_hooks.intake import drain as drain_module
from superoffice_hooks.intake import ingest
from superoffice_hooks.management.commands import superoffice_drain
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, inserts, post

pytestmark = pytest.mark.django_db(transaction=True)


def run(**options):
    """Run the command; return what it printed, its errors, and the error that ended it."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("superoffice_drain", stdout=out, stderr=err, **options)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), error
    return out.getvalue(), err.getvalue(), None


def spooled(count):
    with mock.patch.object(ingest, "settle", side_effect=OperationalError("away")):
        for number in range(count):
            assert post(body(PrimaryKey=number)).content == b"spooled\n"


def away(run, sql, params, many, context):
    if inserts(sql):
        raise OperationalError("away")
    return run(sql, params, many, context)


def test_it_stores_what_waits_and_says_how_many(spool):
    spooled(3)
    assert run() == ("Drained: 3 recorded.\n", "", None)
    assert sorted(Event.objects.values_list("primary_key", flat=True)) == [0, 1, 2]
    assert run() == (f"Nothing waits in {spool.new} for this database.\n", "", None)


def test_a_dry_run_tells_and_changes_nothing(spool):
    assert run(dry_run=True) == ("Nothing would be stored.\n", "", None)
    spooled(1)
    out, _, _ = run(dry_run=True)
    assert out.startswith("1 delivery of 1 kB would be stored; it arrived at 20")
    spooled(1)
    before = [(path, path.read_bytes()) for path in spool.waiting()]
    out, err, error = run(dry_run=True)
    assert out.startswith("2 deliveries of 1 kB would be stored; the oldest arrived at 20")
    assert (err, error) == ("", None)
    assert [(path, path.read_bytes()) for path in spool.waiting()] == before
    assert not Delivery.objects.exists()


def test_a_dry_run_names_what_cannot_be_read(spool):
    spooled(2)
    [first, _] = spool.waiting()
    first.write_bytes(b"torn")
    out, err, error = run(dry_run=True)
    assert out.startswith("1 delivery of")
    assert f"{first}: it is torn" in err
    assert str(error) == "1 cannot be read."
    assert first.exists()
    spool.set_aside(first)
    _, _, error = run(dry_run=True)
    assert str(error) == f"1 damaged: see {spool.bad}."


def test_what_is_damaged_ends_it_with_an_error_after_the_others(spool):
    spooled(2)
    spool.waiting()[0].write_bytes(b"torn")
    out, _, error = run()
    assert out in ("Drained: 1 recorded, 1 damaged.\n", "Drained: 1 damaged, 1 recorded.\n")
    assert "1 that cannot be read" in str(error)
    assert str(spool.bad) in str(error)
    assert error.returncode == 1


def test_while_the_database_is_away_it_says_that_nothing_is_lost(spool):
    spooled(2 * drain_module.GIVE_UP + 1)
    with connection.execute_wrapper(away):
        _, _, error = run()
    assert "does not take them yet (OperationalError away)" in str(error)
    assert f"21 wait in {spool.new}" in str(error)
    assert run()[0] == "Drained: 21 recorded.\n"


def test_without_a_spool_it_says_what_to_set(settings):
    _, _, error = run()
    assert 'set SUPEROFFICE_HOOKS["SPOOL_DIR"]' in str(error)


def test_a_spool_that_is_nonsense_is_named(settings):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": "relative"}
    _, _, error = run()
    assert "must be the absolute path of a folder" in str(error)


def test_a_folder_that_cannot_be_read_is_named(spool):
    spool.folder.mkdir()
    spool.new.write_text("a file in its place")
    _, _, error = run()
    assert str(error) == f"{spool.new} cannot be read: Not a directory"


def test_watching_waits_for_the_database_and_ends_with_ctrl_c(spool, monkeypatch):
    spooled(2)
    rounds = []

    def sleep(seconds):
        rounds.append(Event.objects.count())
        if len(rounds) == 4:
            raise KeyboardInterrupt

    attempts = iter([OperationalError("away"), OperationalError("away"), None])
    drain = superoffice_drain.drain

    def sometimes(spool, on_each):
        error = next(attempts)
        if error:
            raise error
        return drain(spool, on_each)

    monkeypatch.setattr(superoffice_drain, "drain", sometimes)
    # Not time.sleep itself: other threads sleep as well.
    monkeypatch.setattr(superoffice_drain, "time", SimpleNamespace(sleep=sleep))
    out, err, error = run(watch=True)
    assert rounds == [0, 0, 2, 2]
    assert out == f"Watching {spool.folder}; Ctrl-C ends it.\nDrained: 2 recorded.\n"
    assert err == "The database does not take them yet (OperationalError away).\n"
    assert (error.returncode, str(error)) == (
        130,
        "Stopped. What is not stored yet is still in the spool.",
    )


def test_watching_rests_longer_where_only_failures_are_left(spool, monkeypatch):
    spooled(1)
    rests = []

    def sleep(seconds):
        rests.append(seconds)
        if len(rests) == 7:
            raise KeyboardInterrupt

    bug = mock.Mock(side_effect=ZeroDivisionError)
    fail = mock.patch.multiple(drain_module, settle=bug, settle_together=bug)
    monkeypatch.setattr(superoffice_drain, "time", SimpleNamespace(sleep=sleep))
    with fail:
        out, _, _ = run(watch=True)
    assert rests == [4, 8, 16, 32, 60, 60, 60]
    assert out.count("Drained: 1 failed.") == 7


def test_it_is_quiet_where_it_is_asked_to_be(spool):
    spooled(1)
    assert run(verbosity=0) == ("", "", None)


def test_a_process_that_watches_ends_at_sigint_without_a_traceback(spool):
    code = (
        "import django; from django.conf import settings; django.setup(); "
        f"settings.SUPEROFFICE_HOOKS = {{'SPOOL_DIR': {str(spool.folder)!r}}}; "
        "from django.core.management import ManagementUtility; "
        "ManagementUtility(['manage.py', 'superoffice_drain', '--watch']).execute()"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "Watching" in process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped." in err
