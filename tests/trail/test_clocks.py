"""Which of the newest events arrived before they happened."""

from datetime import timedelta

import pytest

from superoffice_hooks.trail import clocks
from superoffice_hooks.trail.clocks import Early, early
from tests.trail.histories import store, told

pytestmark = pytest.mark.django_db

ARRIVED = 90 * 24  # hours, as ``store`` has it


def test_no_events():
    assert early() == Early(0, timedelta())


def test_more_than_a_minute_is_early():
    minute = 1 / 60
    store(*(told(ARRIVED + hours) for hours in (-5, 0, minute, 1.1 * minute, 3)))
    assert early() == Early(2, timedelta(hours=3))


def test_only_the_newest_are_looked_at(monkeypatch):
    monkeypatch.setattr(clocks, "LOOKED_AT", 2)
    store(*(told(ARRIVED + hours) for hours in (9, -1, -1)))
    assert early() == Early(0, timedelta())
