"""The figures of a period: right, within the scope, and from a bounded reading."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail import activity as trail
from superoffice_hooks.trail import facets
from superoffice_hooks.trail.activity import Period, activity, arrivals, midnight
from tests.builders import body, post

SOMEBODY = AnonymousUser()
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


def store(*events):
    """Store events at once, each a dict of what matters of it."""
    return Event.objects.bulk_create(
        Event(
            **{
                "event_id": uuid4(),
                "name": "contact.changed",
                "entity": "contact",
                "action": "changed",
                "primary_key": 1,
                "context_identifier": "A",
                "changed_by_associate_id": 12,
                "occurred_at": NOON,
                "received_at": NOON,
                **fields,
            }
        )
        for fields in events
    )


def receive(*deliveries):
    Delivery.objects.bulk_create(
        Delivery(
            **{"endpoint": "default", "received_at": NOON, "outcome": "test", "body": b"", **fields}
        )
        for fields in deliveries
    )


def grow(number):
    """Store so many events and deliveries, of many kinds on twenty days."""
    store(
        *(
            {
                "occurred_at": NOON + n % 20 * DAY,
                "entity": f"e{n % 30}",
                "action": f"a{n % 40}",
                "context_identifier": str(n % 50),
                "changed_by_associate_id": n % 60,
            }
            for n in range(number)
        )
    )
    receive(*({"headers": {"X-Superoffice-Retry": str(n % 7)}} for n in range(number)))


def march(first=1, last=31):
    return Period.of_days(date(2026, 3, first), date(2026, 3, last))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


class TestPeriod:
    def test_days_begin_at_the_midnights_of_the_reader(self):
        with timezone.override("Europe/Oslo"):
            period = march(28, 30)
        assert period.edges == (
            utc(2026, 3, 27, 23),
            utc(2026, 3, 28, 23),
            utc(2026, 3, 29, 22),  # the clocks went forward
            utc(2026, 3, 30, 22),
        )
        assert not period.is_hourly

    @pytest.mark.parametrize(
        ("zone", "day", "begins"),
        [
            ("America/Sao_Paulo", date(2018, 11, 4), utc(2018, 11, 4, 3)),  # there is no midnight
            ("America/Havana", date(2026, 11, 1), utc(2026, 11, 1, 4)),  # there are two
        ],
    )
    def test_a_day_begins_where_midnight_is_missing_or_doubled(self, zone, day, begins):
        with timezone.override(zone):
            assert midnight(day) == begins
            assert timezone.localdate(begins) == day
            assert timezone.localdate(begins - TICK) == day - DAY

    @pytest.mark.parametrize("days", [1, 2, 62, 63, 124, 125, 400, 40_000])
    def test_a_long_period_has_buckets_of_several_days(self, days):
        first = date(2000, 1, 1)
        period = Period.of_days(first, first + timedelta(days=days - 1))
        assert len(period.buckets) <= 62
        assert (len(period.buckets) == days) is (days <= 62)
        assert (period.begin, period.end) == (utc(2000, 1, 1), utc(2000, 1, 1) + days * DAY)
        widths = [end - begin for begin, end in period.buckets]
        assert len(set(widths[:-1])) <= 1
        assert timedelta() < widths[-1] <= widths[0]

    def test_the_last_day_is_not_before_the_first(self):
        with pytest.raises(ValueError, match="The last day is before the first"):
            march(2, 1)

    def test_the_last_hours_are_those_of_the_readers_clock(self, monkeypatch):
        monkeypatch.setattr(timezone, "now", lambda: utc(2026, 3, 2, 10, 17, 5, 3))
        with timezone.override("Asia/Kolkata"):  # where it is 15:47
            period = Period.last_hours(24)
        assert (period.begin, period.end) == (utc(2026, 3, 1, 10, 30), utc(2026, 3, 2, 10, 30))
        assert {end - begin for begin, end in period.buckets} == {timedelta(hours=1)}
        assert period.is_hourly

    def test_the_last_days_end_today_in_the_readers_zone(self, monkeypatch):
        monkeypatch.setattr(timezone, "now", lambda: utc(2026, 3, 2, 23, 30))
        with timezone.override("Europe/Oslo"):
            period = Period.last_days(7)
        assert (period.begin, period.end) == (utc(2026, 2, 24, 23), utc(2026, 3, 3, 23))

    def test_what_is_left_of_it_begins_at_a_moment(self):
        assert march(1, 3).since(utc(2026, 3, 2, 5)).edges == (
            utc(2026, 3, 2, 5),
            utc(2026, 3, 3),
            utc(2026, 3, 4),
        )
        assert march().since(None) == march()


@pytest.mark.django_db
class TestActivity:
    def test_of_an_empty_trail_is_nothing(self):
        found = activity(march(2, 3), SOMEBODY)
        assert (found.total, found.actions, found.is_cut) == (0, ({}, {}), False)
        assert (found.entities, found.associates, found.tenants, found.silent) == ((), (), (), ())
        assert found.delays == trail.Delays(0, (0, 0, 0, 0, 0), 0, None)

    def test_counts_what_was_posted(self):
        post(body(Timestamp="2026-03-02T23:59:59.999999Z"))
        post(body(Timestamp="2026-03-03T00:00:00Z"))
        post(body(Timestamp="2026-03-03T12:00:00Z", Event="contact.created"))
        post(body(Timestamp="2026-03-04T00:00:00Z"))
        found = activity(march(2, 3), SOMEBODY)
        assert found.actions == ({"changed": 1}, {"changed": 1, "created": 1})
        assert found.total == 3

    @pytest.mark.parametrize("days", [1, 7, 61, 62, 130])
    def test_puts_each_event_into_its_bucket(self, days):
        chance = random.Random(days)
        first = date(2026, 3, 1)
        with timezone.override("Europe/Oslo"):
            period = Period.of_days(first, first + timedelta(days=days - 1))
            span = period.end - period.begin
            moments = [period.begin + chance.random() * span for _ in range(200)]
            moments += [*period.edges, *(edge - TICK for edge in period.edges)]
            store(*({"occurred_at": moment} for moment in moments))
            found = activity(period, SOMEBODY)
        expected = [
            sum(begin <= moment < end for moment in moments) for begin, end in period.buckets
        ]
        assert [sum(counts.values()) for counts in found.actions] == expected

    def test_puts_each_event_into_its_hour(self, monkeypatch):
        monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(minutes=20))
        store({"occurred_at": NOON}, {"occurred_at": NOON - TICK}, {"occurred_at": NOON - DAY})
        found = activity(Period.last_hours(24), SOMEBODY)
        assert [sum(counts.values()) for counts in found.actions] == [0] * 22 + [1, 1]

    def test_ranks_the_ten_busiest(self):
        for number in range(12):
            entity = {"entity": f"e{number:02}", "context_identifier": f"t{number:02}"}
            store(*([entity] * (number + 1)))
        found = activity(march(), SOMEBODY)
        ranks = range(11, 1, -1)
        assert found.entities == tuple((f"e{number:02}", number + 1) for number in ranks)
        assert found.tenants == tuple((f"t{number:02}", number + 1) for number in ranks)
        assert [(who.context_identifier, count) for who, count in found.associates] == [
            (f"t{number:02}", number + 1) for number in ranks
        ]

    def test_ranks_equals_by_name(self):
        store(*({"entity": entity} for entity in "bca"), {"entity": ""}, {"entity": ""})
        assert activity(march(), SOMEBODY).entities == (("", 2), ("a", 1), ("b", 1), ("c", 1))

    def test_tells_the_same_associate_of_two_tenants_apart_and_names_both(self, settings):
        names = {("A", 12): "Kari Nordmann", ("B", 12): "Ola Nordmann"}
        settings.SUPEROFFICE_HOOKS = {
            "ASSOCIATE_NAME": lambda context, associate: names.get((context, associate))
        }
        store({}, {}, {"context_identifier": "B"}, {"changed_by_associate_id": 0})
        found = activity(march(), SOMEBODY).associates
        assert [(who.name, who.is_system, count) for who, count in found] == [
            ("Kari Nordmann", False, 2),
            (None, True, 1),
            ("Ola Nordmann", False, 1),
        ]

    def test_measures_the_time_from_occurred_to_received(self):
        delays = [timedelta(days=-1), -TICK, timedelta()]
        for bound in trail.DELAYS:
            delays += [bound, bound + TICK]
        delays.append(timedelta(days=400))
        store(*({"received_at": NOON + delay} for delay in delays))
        found = activity(march(), SOMEBODY).delays
        assert (found.before, found.counts, found.later) == (2, (2, 2, 2, 2, 2), 2)
        assert found.longest == timedelta(days=400)

    def test_keeps_to_the_scope(self, settings):
        store({}, {"context_identifier": "B", "entity": "secret", "action": "sold"})
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["A", "nobody's"]}
        found = activity(march(), SOMEBODY)
        assert found.total == 1
        assert (found.entities, found.tenants) == ((("contact", 1),), (("A", 1),))
        assert [who.context_identifier for who, _ in found.associates] == ["A"]
        assert [event.context_identifier for event in found.silent] == ["A"]
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: []}
        assert (activity(march(), SOMEBODY).total, activity(march(), SOMEBODY).silent) == (0, ())

    def test_reads_the_newest_events_only_and_says_since_when(self, monkeypatch):
        monkeypatch.setattr(trail, "MAX_ROWS", 5)
        store(*({"occurred_at": NOON + day * DAY, "entity": f"e{day}"} for day in range(5)))
        found = activity(march(), SOMEBODY)
        assert (found.total, found.is_cut, found.counted) == (5, False, march())
        store({"occurred_at": NOON + 5 * DAY, "entity": "e5"})
        found = activity(march(), SOMEBODY)
        assert (found.total, found.is_cut) == (5, True)
        assert found.counted.begin == NOON + TICK
        assert found.counted.end == found.period.end
        assert len(found.actions) == len(found.counted.buckets)
        assert [sum(counts.values()) for counts in found.actions][:6] == [0, 1, 1, 1, 1, 1]
        assert sorted(dict(found.entities)) == ["e1", "e2", "e3", "e4", "e5"]
        assert found.delays.before == 5

    def test_never_reads_more_however_many_events_have_the_same_time(self, monkeypatch):
        monkeypatch.setattr(trail, "MAX_ROWS", 5)
        store(*([{}] * 8), {"occurred_at": NOON + DAY})
        found = activity(march(), SOMEBODY)
        assert (found.total, found.is_cut) == (1, True)
        last = Period.of_days(date(2026, 3, 2), date(2026, 3, 2))
        store(*([{"occurred_at": last.end - TICK}] * 8))
        found = activity(last, SOMEBODY)
        assert (found.total, found.is_cut, len(found.actions)) == (0, True, 1)

    def test_reads_twins_within_the_bound_and_counts_them_not(self, monkeypatch):
        monkeypatch.setattr(trail, "MAX_ROWS", 2)
        [first, *_] = store({"occurred_at": NOON - DAY}, {})
        store({"twin_of_id": first.pk, "occurred_at": NOON + DAY})
        found = activity(march(), SOMEBODY)
        assert (found.total, found.counted.begin) == (1, NOON - DAY + TICK)
        found = trail.summary(march(), Event.objects.all(), twins_too=True)
        assert (found.total, found.counted.begin) == (2, NOON - DAY + TICK)

    def test_cuts_by_the_users_own_events(self, monkeypatch, settings):
        monkeypatch.setattr(trail, "MAX_ROWS", 5)
        store({}, *([{"context_identifier": "B"}] * 9))
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: ["A"]}
        assert not activity(march(), SOMEBODY).is_cut


@pytest.mark.django_db
class TestSilence:
    def silent(self):
        return [
            (event.context_identifier, event.primary_key)
            for event in activity(march(), SOMEBODY).silent
        ]

    def test_gives_each_tenants_newest_event_at_any_time(self):
        store(
            {"context_identifier": "A", "occurred_at": NOON + 900 * DAY, "primary_key": 1},
            {"context_identifier": "", "occurred_at": NOON - 900 * DAY, "primary_key": 2},
            {"context_identifier": "a", "occurred_at": NOON, "primary_key": 3},
            {"context_identifier": "a", "occurred_at": NOON, "primary_key": 4},
            {"context_identifier": "A", "occurred_at": NOON, "primary_key": 5},
            {"context_identifier": "a ", "occurred_at": NOON + DAY, "primary_key": 6},
        )
        assert self.silent() == [("", 2), ("a", 4), ("a ", 6), ("A", 1)]

    def test_gives_no_more_than_a_page_holds(self, monkeypatch):
        monkeypatch.setattr(trail, "MAX_SILENT", 2)
        store(
            *({"context_identifier": name, "occurred_at": NOON - n * DAY}
              for n, name in enumerate("abcd"))
        )  # fmt: skip
        assert [tenant for tenant, _ in self.silent()] == ["d", "c"]

    def test_steps_through_a_bounded_number_of_tenants(self, monkeypatch):
        monkeypatch.setattr(facets, "MAX_TENANTS", 3)
        store(*({"context_identifier": name} for name in "abcd"))
        assert [tenant for tenant, _ in self.silent()] == ["a", "b", "c"]

    def test_takes_a_thousand_tenants(self):
        store(*({"context_identifier": f"{number:04}"} for number in range(1001)))
        assert facets.newest().count() == 1000
        assert len(self.silent()) == 200

    def test_takes_a_tenant_for_a_value_and_never_for_sql(self):
        store({})
        assert list(facets.newest(["') OR 1=1 --", "%s", "A"])) == [Event.objects.get()]


@pytest.mark.django_db
class TestArrivals:
    def test_counts_every_outcome(self):
        wire = body()
        post(wire)
        post(wire)
        post(b"not JSON")
        post(body(Event="test", PrimaryKey=0))
        today = Period.last_days(1)
        assert arrivals(today, SOMEBODY).outcomes == {
            "recorded": 1,
            "duplicate": 1,
            "test": 1,
            "quarantined": 1,
            "refused": 0,
        }
        assert list(arrivals(march(), SOMEBODY).outcomes.values()) == [0] * 5

    def test_counts_those_of_the_period(self):
        edges = march(2, 2).edges
        receive(*({"received_at": moment} for moment in (*edges, *(edge - TICK for edge in edges))))
        assert arrivals(march(2, 2), SOMEBODY).total == 2

    def test_counts_retries_by_their_number(self):
        for retry in ("0", "2", "10", "2"):
            post(body(), X_SuperOffice_Retry=retry)
        post(body())
        found = arrivals(Period.last_days(1), SOMEBODY).retries
        assert list(found.items()) == [(0, 2), (2, 2), (10, 1)]

    def test_takes_a_retry_that_is_no_number_for_what_it_is(self, monkeypatch):
        for retry in ("-1", "1e3", "٣", "", "9999", " 1 "):
            receive({"headers": {"X-Superoffice-Retry": retry}})
        receive({"headers": {}}, {"headers": {"Host": "x"}})
        found = arrivals(march(), SOMEBODY).retries
        assert list(found.items()) == [(0, 2), (1, 1), (None, 5)]
        monkeypatch.setattr(trail, "MAX_RETRIES", 1)
        assert arrivals(march(), SOMEBODY).retries == {0: 2, None: 6}

    def test_reads_the_newest_deliveries_only_and_says_since_when(self, monkeypatch):
        monkeypatch.setattr(trail, "MAX_ROWS", 3)
        receive(*({"received_at": NOON + day * DAY} for day in range(3)))
        assert not arrivals(march(), SOMEBODY).is_cut
        receive({"received_at": NOON + 3 * DAY})
        found = arrivals(march(), SOMEBODY)
        assert (found.total, found.is_cut, found.counted.begin) == (3, True, NOON + TICK)
        assert sum(found.retries.values()) == 3

    def test_keeps_to_the_scope(self, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "CONTEXTS_FOR_USER": lambda user: ["Mine"],
        }
        post(body(ContextIdentifier="Mine"))
        post(body(ContextIdentifier="Theirs"))
        post(b"not JSON")
        found = arrivals(Period.last_days(1), SOMEBODY)
        assert (found.total, found.outcomes["recorded"]) == (1, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("contexts", [None, ["A", "3", "4"]], ids=["all", "scoped"])
def test_the_number_of_queries_is_the_same_for_any_number_of_events(settings, contexts):
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: contexts}

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            activity(march(), SOMEBODY)
            arrivals(march(), SOMEBODY)
        return len(captured)

    grow(10)
    few = queries()
    grow(1000)
    assert queries() == few == (12 if contexts is None else 11)
