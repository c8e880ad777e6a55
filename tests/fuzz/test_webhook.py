"""The short form of ``python -m tests.fuzz``, and that it finds what is planted."""

import os
import subprocess
import sys
from unittest import mock

import pytest
from django.db import connection

from superoffice_hooks.exceptions import SignatureError
from superoffice_hooks.intake import ingest, rows
from superoffice_hooks.models import Delivery, Event
from tests.fuzz import bodies, headers
from tests.fuzz.webhook import Batch, run

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20_260_302


@pytest.mark.parametrize("kind", ["bodies", "headers"])
def test_nothing_made_up_costs_a_delivery(kind):
    tally = run(Batch(kind, SEED, 0, 500))
    assert tally.failure == ""
    assert tally.outcomes.total() == 500
    kinds = {"bodies": {"recorded", "quarantined", "duplicate", "test"}}
    assert set(tally.outcomes) == kinds.get(kind, {"recorded", "401"})
    assert not Delivery.objects.exists()
    assert not Event.objects.exists()


def test_a_seed_makes_the_same_again():
    assert [bodies.make(1, n) for n in range(200)] == [bodies.make(1, n) for n in range(200)]
    assert bodies.make(1, 7) != bodies.make(2, 7)
    assert headers.make(1, 7, b"{}", "x") == headers.make(1, 7, b"{}", "x")


def _lost(row, arrival, outcome, reason, event, alias):
    return Delivery(endpoint=arrival.endpoint, outcome=outcome, reason=reason, event=event)


def _altered(store):
    def write(row, arrival, outcome, reason, event, alias):
        delivery = store(row, arrival, outcome, reason, event, alias)
        Delivery.objects.filter(pk=delivery.pk).update(body=arrival.body.strip() + b" ")
        return delivery

    return write


def _twice(store):
    def write(row, arrival, outcome, reason, event, alias):
        store(row, arrival, outcome, reason, event, alias)
        return store(row, arrival, outcome, reason, event, alias)

    return write


def _trusting(body, signature, secrets):
    return secrets[0]


_refusing = mock.Mock(side_effect=SignatureError("It is another."))


def _talkative(*args):
    ingest.logger.warning("A delivery came:\n%s", args[0])
    return verify(*args)


verify, write = ingest.verify, rows.Row.write


@pytest.mark.parametrize(
    ("kind", "where", "name", "fault", "said"),
    [
        pytest.param("bodies", rows.Row, "write", _lost, "is not in the database", id="lost"),
        pytest.param("bodies", rows.Row, "write", _altered(write), "is stored as", id="altered"),
        pytest.param("bodies", rows.Row, "write", _twice(write), "is stored as", id="twice"),
        pytest.param("bodies", ingest, "settle", mock.Mock(side_effect=KeyError), "503", id="503"),
        pytest.param("bodies", ingest, "verify", _refusing, "answered 401", id="genuine refused"),
        pytest.param("headers", ingest, "verify", _trusting, "answered 200", id="forged taken"),
        pytest.param("bodies", ingest, "verify", _talkative, "was logged as", id="logged"),
    ],
)
def test_a_planted_fault_is_found(kind, where, name, fault, said):
    with (
        mock.patch.object(where, name, fault),
        mock.patch.object(rows, "is_possible", return_value=False),
    ):
        tally = run(Batch(kind, SEED, 0, 100))
    assert said in tally.failure
    assert tally.failure.endswith(
        f"--seed {SEED} --first 0 --bodies 100 --headers 0"
        if kind == "bodies"
        else f"--seed {SEED} --first 0 --bodies 0 --headers 100"
    )


@pytest.mark.skipif(connection.vendor != "sqlite", reason="makes databases beside the test's")
def test_the_command_prints_its_figures_and_removes_its_databases(tmp_path):
    options = ["--bodies", "60", "--headers", "40", "--seed", "7", "--processes", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *options],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 7, sqlite, 2 processes")
    assert "100 deliveries in" in done.stdout
    assert done.stdout.endswith("Everything authentic is stored.\n")
    assert list(tmp_path.rglob("*fuzz*")) == []
