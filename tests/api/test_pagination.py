"""The cursor of ``api/events/``: it visits each event once, and no page is without a bound."""

from base64 import b64encode
from itertools import chain
from urllib.parse import parse_qs, urlsplit

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
    del event["id"]
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


def cursor(text):
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "ÿ",
        cursor("p=nonsense"),
        cursor("p=2026-02-30"),
        cursor("p=2026-02-28"),
        cursor("p=2026-02-28+10:00:00"),
        cursor("p=%00"),
        cursor("p=9999-12-31+23:59:59-10:00"),
        cursor("p=0001-01-01+00:00:00%2B10:00"),
        cursor("o=x"),
        cursor("o=-1"),
    ],
    ids=ascii,
)
def test_a_cursor_that_we_never_gave_is_404(stored, admin_client, value):
    assert admin_client.get(URL, {"cursor": value}).status_code == 404


def test_a_link_holds_nothing_but_the_question_and_the_cursor(stored, admin_client):
    following = admin_client.get(f"{URL}?name=sale.sold&page_size=5").json()["next"]
    query = parse_qs(urlsplit(following).query)
    assert set(query) == {"name", "page_size", "cursor"}
