"""The cursor of ``api/events/``: it visits each event once, and no page is without a bound."""

from itertools import chain
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from superoffice_hooks.models import Event
from tests.builders import body, post

URL = "/superoffice/api/events/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(db):
    """130 events, 110 of them of one moment."""
    for key in range(130):
        moment = "2026-03-02T10:00:00.5Z" if key > 19 else f"2026-03-{key + 1:02}T10:00:00Z"
        post(body(PrimaryKey=key, Timestamp=moment, Event="sale.sold" if key % 2 else "sale.lost"))


def walk(client, url, link="next"):
    visited = []
    while url:
        assert len(visited) < 200, "the walk turns in a circle"
        page = client.get(url).json()
        visited.append([event["id"] for event in page["results"]])
        url = page[link]
    return visited


def flat(pages):
    return list(chain.from_iterable(pages))


def in_order(**conditions):
    return list(
        Event.objects.filter(**conditions)
        .order_by("-occurred_at", "-id")
        .values_list("id", flat=True)
    )


@pytest.mark.parametrize("size", [1, 20, 50, 129, 130, 200])
def test_a_walk_visits_each_event_once_and_newest_first(stored, admin_client, size):
    pages = walk(admin_client, f"{URL}?page_size={size}")
    assert flat(pages) == in_order()
    assert {len(page) for page in pages[:-1]} <= {size}


def test_a_walk_passes_more_events_of_one_moment_than_the_framework_allows(admin_client):
    post(body())
    [event] = Event.objects.values()
    del event["id"], event["fingerprint"]
    Event.objects.bulk_create(Event(**event | {"primary_key": key}) for key in range(1300))
    assert flat(walk(admin_client, f"{URL}?page_size=200")) == in_order()


def test_a_walk_keeps_its_filter(stored, admin_client):
    pages = walk(admin_client, f"{URL}?page_size=20&name=sale.sold")
    assert flat(pages) == in_order(name="sale.sold")


def test_the_way_back_visits_the_same_events(stored, admin_client):
    url = f"{URL}?page_size=20"
    while following := admin_client.get(url).json()["next"]:
        url = following
    back = walk(admin_client, url, "previous")
    assert flat(reversed(back)) == in_order()


def test_an_event_that_arrives_during_a_walk_moves_nothing(stored, admin_client):
    first = admin_client.get(f"{URL}?page_size=15").json()
    expected = in_order()
    post(body(Timestamp="2026-03-25T10:00:00Z"))
    rest = walk(admin_client, first["next"])
    assert [event["id"] for event in first["results"]] + flat(rest) == expected


@pytest.mark.parametrize(("asked", "given"), [("3", 3), ("200", 200)])
def test_a_page_has_as_many_events_as_asked(stored, admin_client, asked, given):
    for _ in range(75):
        post(body())
    assert len(admin_client.get(URL, {"page_size": asked}).json()["results"]) == given


def test_a_page_has_50_events_where_no_size_is_asked(stored, admin_client):
    page = admin_client.get(URL).json()
    assert set(page) == {"next", "previous", "results"}
    assert len(page["results"]) == 50


@pytest.mark.parametrize("size", ["0", "-1", "many", "", "1.5", "201", "9" * 30])
def test_a_page_size_that_is_no_size_is_refused(admin_client, size):
    answer = admin_client.get(URL, {"page_size": size})
    assert (answer.status_code, list(answer.json())) == (400, ["page_size"])


@pytest.mark.parametrize(
    "value",
    [
        *("nonsense", "ÿ", "cD0yMDI2LTAyLTI4", "", "4711", "back_", "back_4711", "\0"),
        *("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z_", "2026-03-02T09:00:00Z_x"),
        *("2026-02-30T09:00:00Z_1", "0001-01-01T00:00:00Z_1", "9999-12-31T23:59:59Z_1"),
        *("2026-03-02T09:00:00Z_" + "9" * 19, "back_back_2026-03-02T09:00:00Z_1"),
    ],
    ids=ascii,
)
def test_a_cursor_that_names_no_place_is_refused(stored, admin_client, value):
    answer = admin_client.get(URL, {"cursor": value})
    assert (answer.status_code, list(answer.json())) == (400, ["cursor"])


@pytest.mark.parametrize("order", ["-occurred_at", "occurred_at", "-received_at", "received_at"])
def test_a_cursor_can_be_made_from_a_row(stored, admin_client, order):
    rows = flat(walk(admin_client, f"{URL}?ordering={order}"))
    page = admin_client.get(URL, {"ordering": order, "page_size": 30}).json()
    last = page["results"][-1]
    place = f"{last[order.removeprefix('-')]}_{last['id']}"
    following = admin_client.get(URL, {"ordering": order, "cursor": place, "page_size": 200}).json()
    assert [event["id"] for event in following["results"]] == rows[30:]


@pytest.mark.parametrize("order", ["-occurred_at", "occurred_at", "-received_at", "received_at"])
def test_every_order_is_walked_there_and_back(stored, admin_client, order):
    field = order.removeprefix("-")
    assert Event.objects.values(field).distinct().count() > 1
    ids = Event.objects.order_by(order, "-id" if order.startswith("-") else "id")
    there = walk(admin_client, f"{URL}?ordering={order}&page_size=17")
    assert flat(there) == list(ids.values_list("id", flat=True))
    url = f"{URL}?ordering={order}&page_size=17"
    while following := admin_client.get(url).json()["next"]:
        url = following
    assert flat(reversed(walk(admin_client, url, "previous"))) == flat(there)


@pytest.mark.parametrize("size", [26, 17])
def test_before_the_first_page_is_none(stored, admin_client, size):
    url = f"{URL}?page_size={size}"
    first = admin_client.get(url).json()
    while following := admin_client.get(url).json()["next"]:
        url = following
    back = [admin_client.get(url).json()]
    while back[-1]["previous"]:
        back.append(admin_client.get(back[-1]["previous"]).json())
    assert [event["id"] for event in back[-1]["results"]] == [e["id"] for e in first["results"]]


@pytest.mark.parametrize("zone", ["Europe/Oslo", "Asia/Kathmandu"])
def test_moments_are_in_utc_wherever_the_site_is(stored, admin_client, zone, settings):
    settings.TIME_ZONE = zone
    settings.REST_FRAMEWORK = {"DATETIME_FORMAT": "%d.%m.%Y"}
    page = admin_client.get(URL, {"page_size": 3}).json()
    last = page["results"][-1]
    place = f"{last['occurred_at']}_{last['id']}"
    assert f"cursor={quote(place)}" in page["next"]
    following = admin_client.get(URL, {"cursor": place, "page_size": 200}).json()
    assert [event["id"] for event in following["results"]] == in_order()[3:]


def test_a_link_holds_nothing_but_the_question_and_the_cursor(stored, admin_client):
    following = admin_client.get(f"{URL}?name=sale.sold&page_size=5").json()["next"]
    query = parse_qs(urlsplit(following).query)
    assert set(query) == {"name", "page_size", "cursor"}
