"""``api/events/follow/``: the recipe of the README, as a program carries it out."""

import threading
from uuid import uuid4

import pytest
from django.db import connection, transaction

from superoffice_hooks.models import Event
from superoffice_hooks.trail import follow
from tests.builders import body, post

URL = "/superoffice/api/events/follow/"

# The answer must see what commits meanwhile, and so must not be inside of a test's transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def poll(client, url):
    """Ask as often as there is more, and return the keys of the events and where to go on."""
    keys = []
    while True:
        page = client.get(url).json()
        keys += [event["primary_key"] for event in page["results"]]
        url = page["next"]
        if not page["more"]:
            return keys, url


def test_each_event_comes_once_and_in_the_order_of_arrival(admin_client):
    for key in (3, 1, 2):
        post(body(PrimaryKey=key, Timestamp=f"2026-03-0{9 - key}T10:00:00Z"))
    keys, url = poll(admin_client, f"{URL}?page_size=2")
    assert keys == [3, 1, 2]
    assert poll(admin_client, url) == ([], url)
    post(body(PrimaryKey=4, Timestamp="2001-01-01T00:00:00Z"))
    keys, url = poll(admin_client, url)
    assert keys == [4]


def test_a_follower_can_begin_with_what_is_yet_to_come(admin_client):
    post(body(PrimaryKey=1))
    keys, url = poll(admin_client, f"{URL}?cursor=latest")
    assert keys == []
    post(body(PrimaryKey=2))
    assert poll(admin_client, url)[0] == [2]


def test_an_empty_trail_can_be_followed(admin_client):
    keys, url = poll(admin_client, URL)
    assert keys == []
    post(body(PrimaryKey=1))
    assert poll(admin_client, url)[0] == [1]


def test_every_filter_selects_and_a_rare_one_moves_on(admin_client, monkeypatch):
    monkeypatch.setattr(follow, "WINDOW", 3)
    for key in range(20):
        entity = "sale" if key == 17 else "contact"
        post(body(PrimaryKey=key, Entity=entity, Event=f"{entity}.changed"))
    pages, url, more = [], f"{URL}?entity=sale", True
    while more:
        page = admin_client.get(url).json()
        pages.append([event["primary_key"] for event in page["results"]])
        assert "entity=sale" in page["next"]
        url, more = page["next"], page["more"]
    assert pages == [[], [], [], [], [], [17], []]
    keys, _ = poll(
        admin_client, f"{URL}?changed_field=name&primary_key=5&field_value=contact_id:4711"
    )
    assert keys == [5]


def test_an_answer_has_the_events_of_the_list(admin_client):
    post(body(Values={"contact_id": 1}))
    listed = admin_client.get("/superoffice/api/events/").json()["results"]
    assert admin_client.get(URL).json()["results"] == listed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("cursor", value) for value in ("x", "", "-1", "1.5", "9" * 19, "9" * 18, "\u0661")),
        *(("page_size", value) for value in ("0", "201", "x")),
        *(("ordering", "occurred_at"), ("entities", "x"), ("primary_key", "x")),
    ],
)
def test_what_cannot_be_answered_is_refused(admin_client, name, value):
    answer = admin_client.get(URL, {name: value})
    assert (answer.status_code, list(answer.json())) == (400, [name])


def test_a_cursor_from_before_a_restored_backup_is_refused(admin_client):
    post(body())
    last = Event.objects.get().pk
    answer = admin_client.get(URL, {"cursor": last + 1})
    assert answer.status_code == 400
    assert str(last) in answer.json()["cursor"][0]


def test_the_reader_gets_the_events_of_their_tenants_alone(scoped):
    for context in ("Theirs", "Mine", "Theirs"):
        post(body(ContextIdentifier=context))
    answer = scoped.get(URL).json()
    assert [event["context_identifier"] for event in answer["results"]] == ["Mine"]
    assert answer["next"].endswith(f"cursor={Event.objects.latest('pk').pk}")


@pytest.mark.parametrize("path", ["events/follow/", "events/manifest/", "events/export.csv"])
def test_the_answer_is_in_no_transaction_whatever_the_site_has(reader, settings, path):
    def outside(user):
        assert connection.settings_dict["ATOMIC_REQUESTS"]
        found.append(connection.in_atomic_block)

    found = []
    settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, "CONTEXTS_FOR_USER": outside}
    assert reader.get(f"/superoffice/api/{path}").status_code == 200
    assert set(found) == {False}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
@pytest.mark.parametrize("path", ["events/follow/", "events/manifest/", "events/export.csv"])
def test_who_writes_for_long_makes_the_answer_503(admin_client, monkeypatch, path):
    monkeypatch.setattr(follow, "PATIENCE", 1)
    post(body(PrimaryKey=1))
    writing, done = Event(), Event.objects.get()
    for field in Event._meta.concrete_fields:
        setattr(writing, field.attname, getattr(done, field.attname))
    writing.pk, writing.primary_key, writing.fingerprint = None, 2, uuid4()
    inserted, asked = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            writing.save(force_insert=True)
            inserted.set()
            asked.wait(30)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    inserted.wait(30)
    post(body(PrimaryKey=3))
    answer = admin_client.get(f"/superoffice/api/{path}")
    asked.set()
    writer.join()
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "1 seconds" in answer.json()["detail"]
    assert poll(admin_client, URL)[0] == [1, 2, 3]


def test_nothing_new_is_not_sent_again(admin_client):
    post(body())
    _, url = poll(admin_client, URL)
    tag = admin_client.get(url)["ETag"]
    assert admin_client.get(url, headers={"if-none-match": tag}).status_code == 304
    post(body())
    assert admin_client.get(url, headers={"if-none-match": tag}).status_code == 200
