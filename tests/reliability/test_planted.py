"""A checker that finds nothing proves nothing: each planted fault must be found."""

import subprocess
import sys
import time

import pytest

from tests.reliability.bodies import Bodies
from tests.reliability.conftest import SEED
from tests.reliability.receiver import Receiver

pytestmark = pytest.mark.reliability


def receiver(stage, planted="", **options):
    environment = {"PLANTED": planted} | options.pop("environment", {}) if planted else {}
    return Receiver(stage.folder, stage.url(), environment=environment, **options)


def test_an_answer_before_the_commit_is_found_as_lost(postgresql):
    with receiver(postgresql, "answer before the commit", workers=1) as site:
        with site.superoffice() as office:
            office.send(Bodies(SEED).first(70))
        site.server.kill_tree()
        verdict = site.check()
    assert verdict.acknowledged == 71
    assert 0 < verdict.lost == 71 - verdict.recorded
    assert not verdict.holds


def test_a_missing_unique_key_is_found_as_duplicates(postgresql):
    with receiver(postgresql) as site:
        site.run("tests.reliability.faulty")
        with site.superoffice() as office:
            for _ in range(3):  # one after another: copies in one batch would be noticed
                office.send(Bodies(SEED).first(10))
        site.drain()
        verdict = site.check()
    assert (verdict.duplicate, verdict.lost, verdict.holds) == (10, 0, False)


def test_deferred_transactions_that_read_first_are_found_as_failures(sqlite):
    deferred = {"SQLITE_MODE": "DEFERRED"}
    with (
        receiver(sqlite, "read before the write", environment=deferred, spool=False) as site,
        site.superoffice(in_flight=16, patience=0.01) as office,
    ):
        figures = office.send(Bodies(SEED).first(2_000))
        office.journal.close()
        verdict = site.check()
    assert figures.statuses[503]
    assert verdict.disabled or verdict.unanswered


def test_a_drain_that_unlinks_before_the_commit_is_found_as_lost(sqlite):
    log = sqlite.folder / "hit"
    environment = {
        "FAIL": "commit.before:OperationalError/1",
        "CRASH": "drain.commit.before:#3",
        "CRASH_LOG": str(log),
    }
    with (
        receiver(sqlite, "unlink before the commit", environment=environment, workers=1) as site,
        site.superoffice() as office,
    ):
        office.send(Bodies(SEED).first(20))
        office.journal.close()
        for _ in range(300):
            if log.exists():
                break
            time.sleep(0.1)
        site.server.kill_tree()
        verdict = site.check()
    assert verdict.lost == 1
    assert not verdict.holds


def test_other_bytes_are_found_as_altered(sqlite):
    with receiver(sqlite, "other bytes") as site:
        with site.superoffice() as office:
            office.send(Bodies(SEED).first(10))
        verdict = site.check()
        ended = subprocess.run(
            [sys.executable, "-m", "tests.reliability.checker", *map(str, site.journals)],
            env=site.base,
            stdout=subprocess.DEVNULL,
        )
    assert (verdict.altered, verdict.lost, verdict.phantom) == (11, 0, 0)
    assert not verdict.holds
    assert ended.returncode == 1


def test_an_event_that_nobody_sent_is_found_as_a_phantom(postgresql):
    with receiver(postgresql, "an invention") as site:
        with site.superoffice() as office:
            office.send(Bodies(SEED).first(10))
        verdict = site.check()
    assert (verdict.phantom, verdict.altered, verdict.lost) == (11, 0, 0)
    assert not verdict.holds


def test_the_same_without_a_fault_holds(postgresql):
    with receiver(postgresql) as site:
        with site.superoffice() as office:
            office.send(Bodies(SEED).first(10))
        site.drain()
        verdict = site.check()
    assert verdict.holds
    assert (verdict.events, verdict.acknowledged, verdict.disabled) == (10, 11, 0)
