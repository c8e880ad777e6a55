"""A place in a list: its text, and what comes after it."""

from datetime import datetime, timedelta, timezone

import pytest

from superoffice_hooks.models import Event
from superoffice_hooks.trail.place import Place
from tests.trail.histories import MONDAY, store, told


@pytest.mark.parametrize(
    "place",
    [
        Place(MONDAY, 1),
        Place(MONDAY + timedelta(microseconds=1), 2**60 // 2),
        Place(datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1))), 0),
    ],
    ids=str,
)
def test_a_place_is_read_as_it_was_written(place):
    assert Place.read(str(place)) == place
    assert "Z_" in str(place)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "7",
        "2026-03-02T09:00:00+00:00",
        "2026-03-02T09:00:00_7",  # whose clock?
        "2026-03-02T09:00:00Z_",
        "2026-03-02T09:00:00Z_-7",
        "2026-03-02T09:00:00Z_7.0",
        "2026-03-02T09:00:00Z_" + "9" * 19,
        "2026-03-02T09:00:00Z_" + "9" * 5000,
        "2026-03-02T09:00:00Z_\u0667",
        "2026-03-02T09:00:00Z_²",
        "\u0662\u0660\u0662\u0666-03-02T09:00:00Z_7",
        "0001-01-01T00:00:00Z_7",
        "9999-12-31T23:59:59Z_7",
        "2026-02-30T09:00:00Z_7",
        "2026-03-02T09:00:00+24:00_7",
        "2026-03-02T09:00:00+00:00\0_7",
        "2026-03-02T09:00:00Z_7\n",
        "2026-03-02T10:00:00+01:00_7",  # not as it is written
        "2026-03-02T09:00:00+00:00:00.5_7",
        "2026-W10-1T09:00:00Z_7",
        "x" * 10_000,
    ],
    ids=lambda text: repr(text[:40]),
)
def test_no_other_text_is_a_place(text):
    with pytest.raises(ValueError):  # noqa: PT011
        Place.read(text)


ORDERS = {
    "newest first": ("-occurred_at", "-id"),
    "oldest first": ("occurred_at", "id"),
    "last received": ("-received_at", "-id"),
    "first received": ("received_at", "id"),
    "by id": ("id",),
    "by id, backwards": ("-id",),
}


@pytest.mark.django_db
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_beyond_a_place_is_all_that_comes_after_it(order):
    store(*(told(hour) for hour in (0, 1, 1, 1, 2)))
    rows = list(Event.objects.order_by(*order))
    assert len(rows) == 5
    for number, row in enumerate(rows, 1):
        field = order[0].removeprefix("-")
        place = Place.of(row, "received_at" if field == "received_at" else "occurred_at")
        beyond = Event.objects.filter(place.beyond(order[0])).order_by(*order)
        assert list(beyond) == rows[number:]
