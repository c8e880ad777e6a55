"""``superoffice_verify`` and ``superoffice_reprocess``: what is stored, taken once more."""

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from superoffice_hooks.management import again
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, inserts, post

OURS = "what-the-settings-said-0123456789-abcdef"
THEIRS = "what-superoffice-had-0123456789-abcdefgh"
MISMATCH = "The signature does not match any secret of this endpoint."

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    """Choose the secret of both endpoints, and which tenants they take."""

    def secrets(secret, contexts=("Cust24680",)):
        options = {"SECRETS": [secret], "CONTEXTS": list(contexts)}
        settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": options, "globex": options}}

    secrets(OURS)
    return secrets


def run(command, **options) -> tuple[list[str], CommandError | None]:
    """Run a command; return the lines that it printed, and the error that ended it."""
    out = io.StringIO()
    try:
        call_command(command, stdout=out, stderr=out, **options)
    except CommandError as error:
        return out.getvalue().splitlines(), error
    return out.getvalue().splitlines(), None


def arrive(raw, endpoint="acme", **options):
    post(raw, url=f"/superoffice/webhook/{endpoint}/", **options)


@pytest.fixture
def refused():
    for key in (1, 2):
        arrive(body(PrimaryKey=key), secret=THEIRS)
    arrive(body(PrimaryKey=3), "globex", secret=THEIRS)
    arrive(b"<", secret=THEIRS)
    arrive(b"  <", secret=THEIRS)
    arrive(body(Event="test"), secret=THEIRS)
    arrive(body(PrimaryKey=4), secret="a-third-secret-0123456789-abcdefghijkl")
    arrive(body(PrimaryKey=5), signature="")


def outcomes():
    return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))


def test_what_the_secret_fits_is_taken_and_the_rest_is_told(refused, secrets):
    secrets(THEIRS)
    lines, error = run("superoffice_verify")
    assert lines == [
        "3 recorded",
        "2 quarantined: The body is not JSON: Expecting value",
        "1 test",
        f"1 refused: {MISMATCH}",
        "1 refused: The header X-SuperOffice-Signature is missing.",
    ]
    assert error is None
    assert outcomes() == ["recorded"] * 3 + ["quarantined"] * 2 + ["test"] + ["refused"] * 2
    assert Event.objects.count() == 3
    reason = Delivery.objects.earliest("id").reason
    assert re.fullmatch(
        rf"Verified again at \S+Z by superoffice_verify; before: {MISMATCH}", reason
    )


def test_a_dry_run_says_for_each_reason_what_would_become_of_it(refused, secrets):
    before = list(Delivery.objects.order_by("id").values())
    secrets(THEIRS)
    lines, error = run("superoffice_verify", dry_run=True)
    assert lines == [
        f"7 refused: {MISMATCH}",
        "    → 3 recorded",
        "    → 2 quarantined: The body is not JSON: Expecting value",
        "    → 1 test",
        f"    → 1 refused: {MISMATCH}",
        "1 refused: The header X-SuperOffice-Signature is missing.",
        "    → 1 refused: The header X-SuperOffice-Signature is missing.",
    ]
    assert error is None
    assert list(Delivery.objects.order_by("id").values()) == before
    assert not Event.objects.exists()


def test_one_endpoint_alone(refused, secrets):
    secrets(THEIRS)
    assert run("superoffice_verify", endpoint="globex") == (["1 recorded"], None)
    assert Event.objects.get().primary_key == 3


@pytest.mark.parametrize(
    ("command", "outcome"),
    [("superoffice_verify", "refused"), ("superoffice_reprocess", "quarantined")],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_to_do(command, outcome, dry_run):
    assert run(command, dry_run=dry_run) == ([f"Nothing is {outcome}."], None)
    assert run(command, dry_run=dry_run, verbosity=0) == ([], None)


@pytest.mark.parametrize("command", ["superoffice_verify", "superoffice_reprocess"])
def test_an_endpoint_that_nobody_knows_is_an_error(command):
    lines, error = run(command, endpoint="acmee")
    assert (lines, str(error)) == ([], 'There is no endpoint "acmee", and nothing arrived there.')


def test_what_is_quarantined_is_processed_the_oldest_first(secrets, monkeypatch):
    monkeypatch.setattr(again, "STEP", 2)
    secrets(OURS, contexts=["Another"])
    for key in range(5):
        arrive(body(PrimaryKey=key), secret=OURS)
    arrive(b"<", secret=OURS)
    arrive(body(ContextIdentifier="Another"), secret=OURS)
    secrets(OURS)
    lines, error = run("superoffice_reprocess", dry_run=True)
    assert lines == [
        "5 quarantined: ContextIdentifier is missing, or names a tenant that this endpoint does "
        "not take.",
        "    → 5 recorded",
        "1 quarantined: The body is not JSON: Expecting value",
        "    → 1 quarantined: The body is not JSON: Expecting value",
    ]
    assert Event.objects.count() == 1
    lines, error = run("superoffice_reprocess")
    assert lines == ["5 recorded", "1 quarantined: The body is not JSON: Expecting value"]
    assert error is None
    keys = Event.objects.exclude(context_identifier="Another").order_by("id")
    assert list(keys.values_list("primary_key", flat=True)) == list(range(5))


def test_an_endpoint_that_is_gone_is_in_the_way(refused, secrets, settings):
    secrets(THEIRS)
    endpoints = dict(settings.SUPEROFFICE_HOOKS["ENDPOINTS"])
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": endpoints["acme"]}}
    for dry_run in (True, False):
        lines, error = run("superoffice_verify", dry_run=dry_run)
        assert any("1 left as it is: There is no endpoint 'globex' any more." in x for x in lines)
        assert (str(error), error.returncode) == (
            "1 could not be taken, and was left as it is.",
            1,
        )
    assert outcomes().count("recorded") == 2


@pytest.mark.django_db(transaction=True)
def test_what_the_database_does_not_take_is_left_and_named_without_values(refused, secrets):
    secrets(THEIRS)

    def execute(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_event"):
            raise OperationalError("disk full: Fjordbygg AS")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        lines, error = run("superoffice_verify", endpoint="acme")
    assert "2 left as it is: OperationalError" in lines
    assert error.returncode == 1
    assert outcomes()[:2] == ["refused"] * 2


def test_a_database_that_is_away_is_one_clear_line():
    def execute(*args):
        raise OperationalError("could not connect")

    with connection.execute_wrapper(execute):
        _, error = run("superoffice_reprocess")
    assert str(error) == "The database cannot be read: OperationalError could not connect"


def test_interrupted_it_says_what_is_done(refused, secrets, monkeypatch):
    secrets(THEIRS)
    take = again.AgainCommand._take
    taken = []

    def interrupted(self, delivery, dry_run):
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(delivery)
        return take(self, delivery, dry_run)

    monkeypatch.setattr(again.AgainCommand, "_take", interrupted)
    lines, error = run("superoffice_verify")
    assert lines == ["2 recorded"]
    assert error.returncode == 130


def test_what_somebody_else_settles_meanwhile_is_theirs(refused, secrets, monkeypatch):
    secrets(THEIRS)
    steps = again.in_steps

    def meanwhile(rows):
        for pk in list(steps(rows)):
            Delivery.objects.filter(pk=pk, endpoint="acme").update(outcome="recorded")
            yield pk

    monkeypatch.setattr(again, "in_steps", meanwhile)
    assert run("superoffice_verify") == (["1 recorded"], None)
