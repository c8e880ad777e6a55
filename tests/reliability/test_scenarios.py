"""The short form of each scenario; ``python -m tests.reliability`` plays the long one."""

import pytest

from tests.reliability import scenarios
from tests.reliability.simulator import Counting

pytestmark = pytest.mark.reliability


def holds(report):
    print(report)
    assert not report.broken


def test_what_was_answered_200_outlives_kills(stage):
    holds(scenarios.kills(stage, acks=600, kills=5, in_flight=8, patience=0.1))


def test_what_was_answered_200_outlives_an_end_at_each_step(postgresql):
    holds(scenarios.steps(postgresql))


def test_failing_statements_writes_and_fsyncs_cost_nothing_but_503(stage):
    holds(scenarios.failures(stage, events=200))


def test_stops_of_the_database_are_not_noticed_outside(postgresql):
    holds(scenarios.stops(postgresql, stops=2, rate=30, pause=1))


def test_an_outage_is_made_up_for_by_itself(postgresql):
    postgresql.counting = Counting.DISCARDED
    holds(scenarios.outage(postgresql, minutes=0.06, rate=50))


def test_copies_at_the_same_time_are_one_event(stage):
    holds(scenarios.storm(stage, events=40, copies=8, in_flight=32))


def test_a_flood_of_forged_posts_stays_within_its_bound(postgresql):
    report = scenarios.flood(
        postgresql, posts=400, rate=20, quiet=2, flood_rate=160, bound=40, slower=20
    )
    holds(report)


def test_a_slow_lossy_or_dead_line_to_the_database_is_not_noticed_outside(postgresql):
    holds(scenarios.link(postgresql, seconds=2, rate=15, worst=5))


def test_a_clock_that_jumps_by_years_costs_nothing(postgresql):
    holds(scenarios.clock(postgresql, events=120, rate=60))


def test_a_full_disk_costs_nothing_that_was_answered_200(postgresql):
    holds(scenarios.disk(postgresql, kilobytes=200))


def test_uvicorn_keeps_its_word_too(postgresql):
    postgresql.kind = "uvicorn"
    holds(scenarios.stops(postgresql, stops=1, rate=30, pause=1))
