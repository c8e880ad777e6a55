"""A follower while several processes write: each event exactly once."""

import pytest
from django.db import connection

from superoffice_hooks.models import Event
from tests.benchmarks.follow import run


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer at a time: ids commit in order"
)
@pytest.mark.django_db(transaction=True)
def test_a_follower_gets_1000_events_of_4_writers_once_each():
    result = run(events=1000, writers=4)
    stored = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert len(stored) == 1000
    assert sorted(result.committed) == stored
    assert [key for key, _ in result.follower.found] == stored
    # Otherwise nothing was shown: who trusts the order of ids does miss events.
    assert result.overtaken
    assert result.misses(result.naive)
