"""Alarms: what is logged and sent, and how often."""

import logging

import pytest

from superoffice_hooks import alarms
from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.signals import alarm_raised

LOGGER = "superoffice_hooks.alarms"
ERRORS = {Alarm.SPOOL_DAMAGED, Alarm.SPOOL_FAILED, Alarm.WEBHOOK_STOPPED}


@pytest.fixture
def heard():
    """What the receivers of the signal were given."""
    heard = []

    def receiver(sender, alarm, subject, message, **kwargs):
        assert sender is Alarm
        heard.append((alarm, subject, message))

    alarm_raised.connect(receiver)
    yield heard
    alarm_raised.disconnect(receiver)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told otherwise."""

    class Clock:
        now = 1_000_000.0

    monkeypatch.setattr(alarms.time, "monotonic", lambda: Clock.now)
    return Clock


def logged(caplog):
    return [record for record in caplog.records if record.name == LOGGER]


@pytest.mark.parametrize("alarm", Alarm)
def test_an_alarm_is_logged_and_sent(alarm, heard, caplog):
    sound(alarm, "acme", "100 % is not a format.")
    [record] = logged(caplog)
    assert record.getMessage() == "100 % is not a format."
    assert record.alarm == alarm.value
    assert record.subject == "acme"
    assert record.levelno == (logging.ERROR if alarm in ERRORS else logging.WARNING)
    assert heard == [(alarm, "acme", "100 % is not a format.")]


def test_the_same_alarm_is_not_repeated_within_a_minute(heard, caplog, clock):
    sound(Alarm.QUARANTINED, "acme", "First.")
    clock.now += 59.9
    sound(Alarm.QUARANTINED, "acme", "Second.")
    clock.now += 0.1
    sound(Alarm.QUARANTINED, "acme", "Third.")
    assert [message for _, _, message in heard] == ["First.", "Third."]
    assert [record.getMessage() for record in logged(caplog)] == ["First.", "Third."]


def test_another_subject_or_alarm_is_another_alarm(heard, clock):
    sound(Alarm.QUARANTINED, "acme", "One.")
    sound(Alarm.QUARANTINED, "globex", "Two.")
    sound(Alarm.REFUSED, "acme", "Three.")
    sound(Alarm.REFUSED, "", "Four.")
    assert len(heard) == 4


def test_any_number_of_subjects_takes_a_bounded_memory(clock):
    for number in range(3 * alarms.MAX_REMEMBERED):
        sound(Alarm.TENANT_SILENT, f"Cust{number}", "Silent.")
    assert len(alarms._last) <= alarms.MAX_REMEMBERED


def test_a_receiver_that_fails_keeps_nobody_from_hearing(heard, caplog):
    def broken(**kwargs):
        raise RuntimeError("a bug of the site's")

    alarm_raised.connect(broken)
    try:
        sound(Alarm.SPOOL_IN_USE, "", "The spool is in use.")
    finally:
        alarm_raised.disconnect(broken)
    assert len(heard) == 1


def test_what_has_become_worse_is_said_at_once(heard, clock):
    for severity in (1, 2, 2, 1, 3):
        sound(Alarm.REFUSED, "acme", f"{severity} of 9.", severity=severity)
    assert [message for _, _, message in heard] == ["1 of 9.", "2 of 9.", "3 of 9."]
    clock.now += 60
    sound(Alarm.REFUSED, "acme", "1 of 9.", severity=1)
    assert heard[-1][2] == "1 of 9."
