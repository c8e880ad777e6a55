"""How far a long run is, on a terminal and in a log."""

import io

import pytest
from django.core.management.base import OutputWrapper

from superoffice_hooks.management import progress
from superoffice_hooks.management.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_has_a_line_for_each_five_hundred(clock):
    out = io.StringIO()
    shown = Progress(OutputWrapper(out), 1_200)
    for _ in range(1_200):
        clock.now += 0.25
        shown.advance()
    shown.clear()
    assert out.getvalue() == "500 of 1200, 4/s, 2:55 left\n1000 of 1200, 4/s, 0:50 left\n"


def test_a_terminal_has_one_line_that_is_written_over(clock):
    out = Terminal()
    shown = Progress(OutputWrapper(out), 30)
    for _ in range(12):
        clock.now += 0.07
        shown.advance()
    shown.clear()
    text = out.getvalue()
    assert "\n" not in text
    lines = [line.strip() for line in text.split("\r")]
    assert lines[1] == "1 of 30, 14/s, 0:02 left"
    assert lines[2] == "3 of 30, 14/s, 0:02 left"  # not before a tenth of a second has passed
    assert lines[-2:] == ["", ""]
    shown.clear()
    assert out.getvalue() == text


def test_more_than_was_announced_is_no_negative_time(clock):
    out = io.StringIO()
    shown = Progress(OutputWrapper(out), 3)
    for _ in range(500):
        clock.now += 0.01
        shown.advance()
    assert out.getvalue() == "500 of 3, 100/s, 0:00 left\n"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_verbosity_of_0_says_nothing(clock, kind):
    out = kind()
    shown = Progress(OutputWrapper(out), 600, verbosity=0)
    for _ in range(600):
        shown.advance()
    shown.clear()
    assert out.getvalue() == ""
