"""The overview on the app's page: its numbers, and that each leads to as many rows."""

import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone

from superoffice_hooks.admin import overview
from superoffice_hooks.admin.overview import duration_name, span_name
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail import activity as trail
from tests.admin.test_markup import HOSTILE, Markup
from tests.builders import body, post
from tests.trail.test_activity import NOON, grow, receive, store

PAGE = "/admin/superoffice_hooks/"
MARCH = {"after": "2026-03-01", "before": "2026-03-31"}
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db
urlpatterns = [path("admin/", admin.site.urls)]  # of a site without the webhook


class Page(HTMLParser):
    """What a reader meets on the page: text, links with their names, tables, ids."""

    def __init__(self, html):
        super().__init__()
        self.text, self.ids, self.references = "", [], []
        self.links, self.tables, self.inside = [], [], []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.inside.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for name in ("aria-labelledby", "aria-describedby", "for"):
            self.references += given.get(name, "").split()
        if tag == "a":
            self.links.append((given.get("aria-label", ""), given["href"], "svg" in self.inside))
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and self.tables:
            self.tables[-1].append([])
        if tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if self.inside and {"td", "th"} & set(self.inside) and self.tables and self.tables[-1]:
            self.tables[-1][-1][-1] += data

    @property
    def bars(self):
        """The links of the charts: name and address."""
        return [(name, url) for name, url, in_chart in self.links if in_chart]

    def table(self, *headings):
        """The rows of the table whose first headings these are."""
        [found] = [table for table in self.tables if (*table[0],)[: len(headings)] == headings]
        return [[cell.strip() for cell in row] for row in found]


@pytest.fixture
def show(admin_client):
    def show(client=admin_client, **query):
        answer = client.get(PAGE, query)
        assert answer.status_code == 200
        return Page(answer.content.decode())

    return show


def listed(client, url):
    answer = client.get(url)
    assert answer.status_code == 200
    assert not list(answer.context["messages"])
    return answer.context["cl"].result_count


def follow(client, page):
    """Follow each link that names a number, and return how many there were of each list."""
    seen = Counter()
    for name, url, _in_chart in page.links:
        if told := re.search(r": ([\d,]+) (event|delivery|deliveries)", name):
            assert listed(client, url) == int(told[1].replace(",", "")), (name, url)
            seen[url.split("/")[3]] += 1
    return seen


@pytest.fixture
def trail_of_march():
    """Events of nine actions around the midnights of Oslo, on the day with 23 hours too."""
    actions = ["changed"] * 5 + ["created"] * 4 + ["deleted", "sold", "lost", "", "x y", "é&=+#"]
    midnights = [datetime(2026, 3, day, 23, tzinfo=UTC) for day in (1, 2, 27, 28)]
    midnights.append(datetime(2026, 3, 29, 22, tzinfo=UTC))
    store(
        *(
            {
                "occurred_at": moment + shift,
                "action": action,
                "entity": f"e{number % 3}" if number % 5 else "",
                "context_identifier": ["A", "B & C", ""][number % 3],
                "changed_by_associate_id": number % 4,
            }
            for moment in midnights
            for shift in (timedelta(), -timedelta(microseconds=1))
            for number, action in enumerate(actions)
        )
    )


class TestLinks:
    @pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", "Asia/Kolkata"])
    def test_each_bar_leads_to_as_many_rows_as_it_says(
        self, trail_of_march, admin_client, show, settings, zone
    ):
        settings.TIME_ZONE = zone
        receive(*({"outcome": "test", "received_at": NOON} for _ in range(3)))
        receive({"outcome": "quarantined", "received_at": NOON})
        seen = follow(admin_client, show(**MARCH))
        assert seen["event"] > 50
        assert seen["delivery"] == 5 + 2  # the bars of all outcomes, those of two in the table

    def test_so_does_each_of_a_day_in_hours(self, admin_client, show, settings, monkeypatch):
        settings.TIME_ZONE = "Europe/Oslo"
        now = datetime(2026, 3, 29, 6, 30, tzinfo=UTC)
        store(*({"occurred_at": now - timedelta(minutes=30 * step)} for step in range(60)))
        with monkeypatch.context() as patch:
            patch.setattr(overview.Period, "last_hours", classmethod(_hours_until(now)))
            page = show(period="24h")
        follow(admin_client, page)
        names = [name for name, _url in page.bars if ", changed: " in name]
        assert len(names) == 24
        # There is no hour between two and three on this day.
        assert "March 29, 2026, 01:00 to 03:00, changed: 2 events" in names
        assert "March 29, 2026, 00:00 to 01:00, changed: 2 events" in names

    def test_so_does_each_of_a_long_period(self, trail_of_march, admin_client, show):
        page = show(after="2025-01-01", before="2026-12-31")
        assert "Events per 12 days" in page.text
        follow(admin_client, page)
        assert len(page.table("Time")) == 62  # 61 buckets and the heading

    def test_so_does_each_where_the_figures_begin_later(
        self, trail_of_march, admin_client, show, monkeypatch
    ):
        monkeypatch.setattr(trail, "MAX_ROWS", 40)
        receive(*({"received_at": NOON + n * DAY} for n in range(-1, 45)))
        page = show(after="2026-03-01", before="2026-04-30")
        assert "This period holds more than 40 events; the figures begin at March" in page.text
        assert "This period holds more than 40 deliveries; the figures begin at March" in page.text
        assert page.text.count("Choose a shorter period for the rest.") == 2
        assert follow(admin_client, page)["delivery"] == 5 + 1
        assert int(re.search(r"(\d+) events", page.text)[1]) <= 40

    def test_the_six_most_frequent_actions_have_a_part_and_the_others_one(
        self, trail_of_march, show
    ):
        heading, *rows = show(**MARCH).table("Time")
        assert heading == [
            *("Time", "changed", "created", "(empty)", "deleted for good", "lost", "sold"),
            *("other", "Total"),
        ]
        assert len(rows) == 31
        assert sum(int(row[-2]) for row in rows) == 20
        assert sum(int(row[-1]) for row in rows) == 150
        for row in rows:
            assert sum(map(int, row[1:-1])) == int(row[-1])

    def test_deletions_have_a_part_of_their_own_however_few_they_are(self, admin_client, show):
        often = ["changed", "sold", "lost", "won", "done", "started"]
        actions = [action for action in often for _ in range(9)]
        store(*({"action": action} for action in [*actions, "deleted", "softdeleted", "created"]))
        page = show(**MARCH)
        heading, *rows = page.table("Time")
        assert set(heading[1:-2]) == {
            *("changed", "created", "deleted for good", "soft-deleted", "done", "lost"),
        }
        assert heading[-2:] == ["other", "Total"]
        [told] = [row for row in rows if row[-1] != "0"]
        counts = dict(zip(heading, told, strict=True))
        assert [counts[name] for name in ("deleted for good", "soft-deleted")] == ["1", "1"]
        assert (counts["other"], counts["Total"]) == ("27", "57")
        assert follow(admin_client, page)["event"]

    def test_when_webhooks_were_off_and_on_is_one_link_away(self, admin_client, show):
        for action in ("errors", "stopped", "started", "changed"):
            store({"entity": "webhook7", "action": action})
        store({"action": "errors", "occurred_at": NOON + 40 * DAY})
        [url] = re.findall(
            '<a href="([^"]*)">When webhooks were switched off and on in this period</a>',
            admin_client.get(PAGE, MARCH).content.decode(),
        )
        found = admin_client.get(unescape(url)).context["cl"].result_list
        assert [event.action for event in found] == ["started", "stopped", "errors"]

    def test_a_part_of_very_many_actions_has_no_link_that_servers_refuse(self, show):
        store(*({"action": f"{number:03}" + "x" * 200} for number in range(30)))
        page = show(**MARCH)
        assert "March 2, 2026, other: 24 events" in page.text
        assert max(len(url) for _name, url, _in_chart in page.links) <= 2_000


def _hours_until(now):
    def last_hours(cls, number):
        end = now.replace(minute=0) + timedelta(hours=1)
        hours = range(number, -1, -1)
        return cls(tuple(end - timedelta(hours=hour) for hour in hours), is_hourly=True)

    return last_hours


class TestPeriods:
    def test_seven_days_are_shown_unless_another_period_is_asked_for(self, show, admin_client):
        now = timezone.now()
        for days in (0, 5, 8, 29, 31):
            store({"occurred_at": now - days * DAY})
        totals = {
            name: re.search(r"(\d+) events?", show(**query).text)[1]
            for name, query in {
                "default": {},
                "nonsense": {"period": "x"},
                "24h": {"period": "24h"},
                "7d": {"period": "7d"},
                "30d": {"period": "30d"},
            }.items()
        }
        assert totals == {"default": "2", "nonsense": "2", "24h": "1", "7d": "2", "30d": "4"}
        html = admin_client.get(PAGE).content.decode()
        assert '<a href="?period=7d" aria-current="true">7 days</a>' in html
        assert html.count('aria-current="true"') == 1

    def test_the_days_of_the_form_are_both_included(self, show):
        store(*({"occurred_at": NOON + day * DAY} for day in range(5)))
        page = show(after="2026-03-03", before="2026-03-04")
        assert "2 events" in page.text
        assert [row[0] for row in page.table("Time")] == ["Time", "March 3, 2026", "March 4, 2026"]
        assert "March 3, 2026 to March 4, 2026." in page.text

    @pytest.mark.parametrize(
        ("after", "before", "says"),
        [
            ("2026-03-02", "2026-03-01", "The last day is before the first."),
            ("yesterday", "2026-03-01", "This is not a date such as 2026-11-21."),
            ("2026-02-30", "2026-03-01", "This is not a date such as 2026-11-21."),
            ("", "2026-03-01", "Choose the first day."),
            ("2026-03-01", "", "Choose the last day."),
            ("2026-03-01", "9999-12-31", "Choose a day before the year 3000."),
            ("0001-01-01", "2026-03-01", "Choose a day from 1970 on."),
            ("2026-03-01\0", "2026-03-01", "This is not a date such as 2026-11-21."),
        ],
    )
    def test_a_period_that_cannot_be_read_is_explained(self, show, after, before, says):
        store({"occurred_at": timezone.now()})
        page = show(after=after, before=before)
        assert says in page.text
        assert "The dates could not be used, so that this is the usual period." in page.text
        assert "1 event" in page.text

    def test_one_date_alone_is_not_enough(self, show):
        assert "Choose the last day." in show(after="2026-03-01").text

    def test_the_longest_period_is_answered(self, show):
        store({})
        assert "1 event" in show(after="1970-01-01", before="2999-12-31").text


class TestFigures:
    def test_says_what_happened(self, show):
        for key, action in enumerate(("created", "changed", "changed")):
            post(body(Event=f"contact.{action}", PrimaryKey=key))
        post(body(Event="sale.sold", Entity="sale", ChangedByAssociateId=0))
        page = show(**MARCH)
        assert page.table("Entity") == [["Entity", "Number"], ["contact", "3"], ["sale", "1"]]
        assert page.table("Associate")[1:] == [["associate 12", "3"], ["the system", "1"]]
        assert page.table("Tenant", "Number")[1:] == [["Cust24680", "4"]]
        assert page.table("Delay")[-1] == ["more than 1 hour", "4", "100.0 %"]
        assert "The longest took " in page.text

    def test_names_associates_and_their_tenants(self, show, settings):
        settings.SUPEROFFICE_HOOKS = {
            "ASSOCIATE_NAME": lambda context, associate: f"{context}'s <b>{associate}</b>",
            "INTEGRATION_USERS": {"B": [12]},
        }
        store({}, {}, {"context_identifier": "B"})
        assert show(**MARCH).table("Associate")[1:] == [
            ["A's <b>12</b> #12, A", "2"],
            ["B's <b>12</b> #12 integration, B", "1"],
        ]

    def test_says_what_became_of_deliveries(self, show):
        wire = body()
        post(wire)
        post(wire, X_SuperOffice_Retry="1")
        post(b"not JSON", X_SuperOffice_Retry="soon")
        page = show()
        assert page.table("Outcome")[1:] == [
            *(["recorded", "1"], ["duplicate", "1"], ["test", "0"], ["quarantined", "1"]),
            ["refused", "0"],
        ]
        assert page.table("Attempt")[1:] == [
            ["first attempt", "1", "33.3 %"],
            ["retry 1", "1", "33.3 %"],
            ["not a number", "1", "33.3 %"],
        ]

    def test_says_that_clocks_differ(self, show):
        store({"received_at": NOON - DAY}, {"received_at": NOON + timedelta(seconds=1.5)})
        page = show(**MARCH)
        assert page.table("Delay")[1] == ["received before it occurred", "1", "50.0 %"]
        assert page.table("Delay")[3] == ["up to 10 seconds", "1", "50.0 %"]
        assert "The longest took 1.5 seconds." in page.text
        assert "SuperOffice's clock and this server's differ." in page.text
        Event.objects.filter(received_at__gt=NOON).delete()
        assert "The longest took" not in show(**MARCH).text

    def test_lists_each_tenants_last_event_whatever_the_period(self, show, admin_client):
        now = timezone.now()
        store(
            {"context_identifier": "A", "occurred_at": now - 2 * DAY, "primary_key": 7},
            {"context_identifier": "B", "occurred_at": now - 30 * DAY, "action": "sold"},
        )
        page = show(after="1999-01-01", before="1999-01-02")
        rows = page.table("Tenant", "Silent for")[1:]
        assert [(row[0], row[1], row[3]) for row in rows] == [
            ("B", "4\xa0weeks, 2\xa0days", "contact 1 sold"),
            ("A", "2\xa0days", "contact 7 changed"),
        ]
        assert "No event occurred in this period" in page.text
        urls = [url for _name, url, _in_chart in page.links]
        for event in Event.objects.all():
            assert f"/admin/superoffice_hooks/event/{event.pk}/change/" in urls
            [tenant] = [
                url
                for url in urls
                if url.endswith(f"event/?context_identifier={event.context_identifier}")
            ]
            assert listed(admin_client, tenant) == 1

    def test_says_where_not_all_tenants_are_listed(self, show, monkeypatch):
        monkeypatch.setattr(trail, "MAX_SILENT", 2)
        monkeypatch.setattr(overview, "MAX_SILENT", 2)
        store({"context_identifier": "A"})
        assert "tenants are listed" not in show().text
        store({"context_identifier": "B"}, {"context_identifier": "C"})
        page = show()
        assert "At most 2 tenants are listed." in page.text
        assert len(page.table("Tenant", "Silent for")) == 3

    def test_writes_numbers_and_dates_in_the_readers_language(self, show, settings):
        settings.LANGUAGE_CODE = "de"
        store(*[{}] * 1_234)
        page = show(**MARCH)
        assert [table[1][1].strip() for table in page.tables[1:4]] == ["1.234"] * 3
        assert "2. März 2026" in page.text
        assert not re.search(r"(?:x|y|width|height)=\"\d+,", page.text)


def test_an_empty_trail_says_what_to_type_next(show):
    page = show()
    assert "No event has been recorded yet." in page.text
    command = "python manage.py superoffice_send http://testserver/superoffice/webhook/"
    assert f"{command} --generate 20" in page.text
    assert "Events per day" not in page.text
    assert page.bars == []
    post(b"not JSON")
    page = show()
    assert "No event has been recorded yet." in page.text
    assert page.table("Outcome")[4] == ["quarantined", "1"]


@pytest.mark.urls("tests.admin.test_overview")
def test_an_empty_trail_of_a_site_without_the_webhook_opens(show):
    assert "superoffice_send URL --generate 20" in show().text


class TestAccess:
    def test_those_who_may_not_view_events_see_no_figure(self, login, show):
        store({})
        page = show(login("view_delivery"), **MARCH)
        assert "Overview" not in page.text
        assert "Busiest" not in page.text
        assert page.bars == []

    def test_those_who_may_not_view_deliveries_see_those_of_events_only(self, login, show):
        store({})
        receive({})
        page = show(login("view_event"), **MARCH)
        assert "1 event" in page.text
        assert "deliver" not in page.text.lower()
        assert [url for _name, url, _in_chart in page.links if "/delivery/" in url] == []

    def test_nothing_outside_the_scope_is_counted_or_named(self, login, show, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "CONTEXTS_FOR_USER": lambda user: ["Mine"],
        }
        for context in ("Mine", "Theirs"):
            entity = context.lower()
            post(body(ContextIdentifier=context, Event=f"{entity}.{entity}d", Entity=entity))
        post(b"not JSON")
        client = login("view_event", "view_delivery")
        page = show(client, **MARCH)
        assert "1 event" in page.text
        assert "heirs" not in page.text
        assert "heirs" not in " ".join(url for _name, url, _in_chart in page.links)
        follow(client, page)
        assert [row[1] for row in show(client).table("Outcome")[1:]] == ["1", "0", "0", "0", "0"]

    def test_a_scope_of_nothing_is_an_empty_trail(self, login, show, settings):
        settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: []}
        store({})
        page = show(login("view_event"), **MARCH)
        assert "The trail holds no event of the tenants that you may see." in page.text
        assert "No event has been recorded yet" not in page.text
        assert "superoffice_send" not in page.text
        assert page.bars == []


class TestMarkup:
    def test_hostile_text_is_shown_and_never_run(self, admin_client, settings):
        settings.SUPEROFFICE_HOOKS = {"ASSOCIATE_NAME": lambda context, associate: HOSTILE}
        values = dict.fromkeys(("entity", "action", "context_identifier"), HOSTILE)
        store(values, {**values, "context_identifier": "B"})
        receive({"headers": {"X-Superoffice-Retry": HOSTILE}})
        html = admin_client.get(PAGE, MARCH).content.decode()
        assert html.count("&lt;script&gt;alert(1)") > 10
        assert "<script>alert" not in html
        markup = Markup(html)
        assert (markup.inline, "x" in markup.images) == ([], False)

    def test_ids_are_unique_and_what_is_referred_to_is_there(self, trail_of_march, show):
        receive({})
        for query in (MARCH, {"after": "x", "before": ""}):
            page = show(**query)
            assert [name for name, count in Counter(page.ids).items() if count > 1] == []
            assert set(page.references) <= set(page.ids)

    def test_each_bar_has_a_name(self, trail_of_march, show):
        bars = show(**MARCH).bars
        assert len(bars) > 30
        assert all(re.search(r"\S: \d+ (event|deliver)", name) for name, _url in bars)


@pytest.mark.parametrize("contexts", [None, ["A", "3", "4"]], ids=["all", "scoped"])
def test_the_number_of_queries_is_the_same_for_any_number_of_events(
    login, show, settings, contexts
):
    settings.SUPEROFFICE_HOOKS = {"CONTEXTS_FOR_USER": lambda user: contexts}
    client = login("view_event", "view_delivery")

    def queries():
        with CaptureQueriesContext(connection) as captured:
            show(client, **MARCH)
        return len(captured)

    grow(10)
    few = queries()
    grow(1000)
    assert queries() == few
    assert Delivery.objects.count() == 1010


@pytest.mark.parametrize(
    ("span", "name"),
    [
        ((1, 0, 2, 0), "March 1, 2026"),
        ((1, 0, 3, 0), "March 1, 2026 to March 2, 2026"),
        ((1, 5, 1, 6), "March 1, 2026, 05:00 to 06:00"),
        ((1, 23, 2, 0), "March 1, 2026, 23:00 to 00:00"),
        ((1, 12, 2, 12), "March 1, 2026, 12:00 to March 2, 2026, 12:00"),
        ((1, 12, 3, 0), "March 1, 2026, 12:00 to March 3, 2026, 00:00"),
    ],
)
def test_a_span_is_named_by_days_or_by_the_clock(span, name):
    day, hour, last_day, last_hour = span
    begin = datetime(2026, 3, day, hour, tzinfo=UTC)
    assert span_name((begin, datetime(2026, 3, last_day, last_hour, tzinfo=UTC))) == name


@pytest.mark.parametrize(
    ("duration", "name"),
    [
        (timedelta(), "0.0 seconds"),
        (timedelta(seconds=59.94), "59.9 seconds"),
        (timedelta(minutes=1), "1\xa0minute"),
        (timedelta(days=2, hours=3, minutes=4), "2\xa0days, 3\xa0hours"),
    ],
)
def test_a_duration_is_named_by_its_largest_units(duration, name):
    assert duration_name(duration) == name


def test_a_site_without_admin_can_render_its_templates():
    """Django imports every library of tags as soon as a template is rendered."""
    code = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "superoffice_hooks"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
import django
django.setup()
from django.template import engines
print(engines["django"].from_string("{% load superoffice_hooks %}fine").render())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("fine\n", 0), ran.stderr


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ({"after": "2026-03-01", "before": "2026-03-03"}, ["1 Mar", "2 Mar", "3 Mar"]),
        ({"after": "2026-12-31", "before": "2027-01-01"}, ["Dec 2026", "Jan 2027"]),
    ],
)
def test_the_axis_names_days_and_over_a_new_year_months(admin_client, query, labels):
    store({"occurred_at": NOON}, {"occurred_at": datetime(2026, 12, 31, 12, tzinfo=UTC)})
    html = admin_client.get(PAGE, query).content.decode()
    assert re.findall('text-anchor="middle">(.*?)<', html) == labels
