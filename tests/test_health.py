"""The checks for django-health-check, through its own view."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from django.utils import timezone
from health_check.views import HealthCheckView

from superoffice_hooks import health
from superoffice_hooks.alarms import Alarm
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.signals import alarm_raised
from tests.builders import body, encode, post
from tests.trail.histories import store, told

# The view has its checks run in threads, each of which has a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


def answer(*checks):
    """Ask the view for these checks; return the status and what each says."""
    page = path("health/", HealthCheckView.as_view(checks=checks))
    with override_settings(ROOT_URLCONF=(page,), MIDDLEWARE=[]):
        answered = Client().get("/health/?format=json")
    return answered.status_code, list(json.loads(answered.content).values())


def keep(spool):
    return spool.keep(
        Arrival(
            endpoint="default",
            received_at=timezone.now(),
            body=encode(body()),
            headers={},
            remote_address="",
            signature="",
            key_id="",
        )
    )


ALL = ("Spool", "Quarantine", "Refusals", "Silence")


def test_all_is_well(spool):
    post(body())
    paths = [f"superoffice_hooks.health.{name}" for name in ALL]
    assert answer(*paths) == (200, ["OK"] * 4)


def test_a_site_without_a_spool():
    assert answer("superoffice_hooks.health.Spool") == (200, ["OK"])


def test_what_waits_in_the_spool(spool):
    keep(spool)
    keep(spool)
    said = "Warning: 2 deliveries wait in the spool."
    assert answer("superoffice_hooks.health.Spool") == (500, [said])
    assert answer(("superoffice_hooks.health.Spool", {"waiting": 2})) == (200, ["OK"])


def test_damaged_files_in_the_spool(spool):
    spool.set_aside(keep(spool))
    said = "Unavailable: 1 files in the spool are damaged, and 0 deliveries wait."
    assert answer("superoffice_hooks.health.Spool") == (500, [said])


def test_a_spool_that_cannot_be_read(settings, tmp_path):
    (tmp_path / "spool").write_text("no folder")
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": tmp_path / "spool"}
    said = "Unavailable: The spool cannot be read."
    assert answer("superoffice_hooks.health.Spool") == (500, [said])


def test_a_spool_that_is_nonsense(settings):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": "relative"}
    status, [said] = answer("superoffice_hooks.health.Spool")
    assert status == 500
    assert said.startswith('Unavailable: SUPEROFFICE_HOOKS["SPOOL_DIR"] must be')


@pytest.mark.parametrize(
    ("name", "outcome", "state"),
    [
        ("Quarantine", Outcome.QUARANTINED, "in quarantine"),
        ("Refusals", Outcome.REFUSED, "refused for their signature"),
    ],
)
def test_what_was_set_aside_of_late(name, outcome, state):
    def arrives(hours):
        at = timezone.now() - timedelta(hours=hours)
        Delivery.objects.create(
            endpoint="default", received_at=at, outcome=outcome, signature="signed", body=b"{}"
        )

    check = f"superoffice_hooks.health.{name}"
    arrives(25)
    assert answer(check) == (200, ["OK"])
    arrives(2)
    status, [said] = answer(check)
    assert status == 500
    assert said.startswith(f"Warning: Deliveries {state}: 2, the first of 20")
    assert answer((check, {"within": timedelta(hours=1)})) == (200, ["OK"])


def test_a_tenant_that_is_silent():
    store(*(told(hours) for hours in range(0, 24 * 9, 6)))
    heard = []

    def receiver(alarm, subject, **kwargs):
        heard.append((alarm, subject))

    alarm_raised.connect(receiver)
    try:
        status, [said] = answer("superoffice_hooks.health.Silence")
    finally:
        alarm_raised.disconnect(receiver)
    assert status == 500
    assert said.startswith("Warning: Tenant 'Cust24680' has sent nothing since 2026-03-11")
    assert heard == [(Alarm.TENANT_SILENT, "Cust24680")]


@pytest.mark.parametrize("name", ["Quarantine", "Refusals", "Silence"])
def test_a_database_that_is_away(name, monkeypatch):
    def away(self, parameters):
        raise OperationalError("connection to server at 10.0.0.7 failed")

    monkeypatch.setattr(type(connections["default"]), "get_new_connection", away)
    assert answer(f"superoffice_hooks.health.{name}") == (
        500,
        ["Unavailable: The database is away."],
    )


def test_a_check_leaves_no_connection_open_in_its_thread(monkeypatch):
    kind, threads = type(connections["default"]), []
    opened, close = kind.connect, kind.close

    def count(self):
        threads.append(threading.current_thread())
        opened(self)

    def discount(self):
        if threading.current_thread() in threads:
            threads.remove(threading.current_thread())
        close(self)

    monkeypatch.setattr(kind, "connect", count)
    monkeypatch.setattr(kind, "close", discount)
    assert answer(*(f"superoffice_hooks.health.{name}" for name in ALL)) == (200, ["OK"] * 4)
    assert [thread for thread in threads if thread is not threading.main_thread()] == []


def test_a_check_names_itself_without_saying_more():
    assert repr(health.Spool()) == "Spool(waiting=0)"
    assert health.Quarantine().labels == {"check": "Quarantine", "within": "1 day, 0:00:00"}
