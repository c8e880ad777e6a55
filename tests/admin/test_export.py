"""The actions that give a list as a file."""

import io
import json
import logging
import re
import tracemalloc
from hashlib import sha256
from zipfile import ZipFile

import pytest
from django.db import connection, transaction

from superoffice_hooks.admin.base import BoundedPaginator
from superoffice_hooks.admin.export import bundle
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail import follow, selection
from superoffice_hooks.trail.export import Export
from superoffice_hooks.trail.formats import CSV, NDJSON
from superoffice_hooks.trail.selection import Selection
from tests.builders import body, post
from tests.trail.histories import store, told

EVENTS = "/admin/superoffice_hooks/event/"
DELIVERIES = "/admin/superoffice_hooks/delivery/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(db):
    """Three events of two entities, with their deliveries."""
    post(body(PrimaryKey=1))
    post(body(PrimaryKey=2, Timestamp="2026-03-05T00:00:00Z"))
    post(body(PrimaryKey=3, Event="sale.sold", Entity=..., Timestamp="2026-03-06T00:00:00Z"))


def choose(client, url, rows=(), action="export_ndjson", across=False):
    """Press "Go" with these rows ticked, of all the list or of this page."""
    ticked = [row.pk for row in rows] or [0]
    data = {"action": action, "_selected_action": ticked, "index": "0"}
    return client.post(url, data | {"select_across": str(int(across))})


def opened(answer):
    assert answer.status_code == 200, answer
    archive = ZipFile(io.BytesIO(answer.getvalue()))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def keys(answer, name="events.ndjson", key="primary_key"):
    return [json.loads(line)[key] for line in opened(answer)[name].split(b"\n")[:-1]]


@pytest.mark.parametrize(
    ("url", "permission", "what"),
    [(EVENTS, "view_event", "events"), (DELIVERIES, "view_delivery", "deliveries")],
    ids=["events", "deliveries"],
)
@pytest.mark.parametrize("format", [CSV, NDJSON], ids=["csv", "ndjson"])
def test_who_may_see_a_list_may_take_it(three, login, url, permission, what, format):
    client = login(permission)
    html = client.get(url).content.decode()
    offered = re.findall(r'<option value="(export_\w+)">(.*?)</option>', html)
    assert offered == [
        ("export_csv", "Export selected as CSV"),
        ("export_ndjson", "Export selected as NDJSON"),
    ]
    answer = choose(client, url, across=True, action=f"export_{format.name}")
    assert answer["Content-Type"] == "application/zip"
    assert re.fullmatch(
        rf'attachment; filename="superoffice-{what}-\d{{8}}T\d{{6}}Z\.zip"',
        answer["Content-Disposition"],
    )
    found = opened(answer)
    assert list(found) == [f"{what}.{format.name}", "manifest.json"]
    model = Event if what == "events" else Delivery
    until = model.objects.latest("id").pk
    same = Selection(model.objects.all(), until, answer.wsgi_request.user, {})
    raw = found[f"{what}.{format.name}"]
    assert raw == b"".join(Export(same, format))
    manifest = json.loads(found["manifest.json"])
    assert manifest["files"] == {
        format.name: {"bytes": len(raw), "sha256": sha256(raw).hexdigest()}
    }
    assert (manifest["count"], manifest["until"], manifest["made_by"]) == (3, until, "olga")


@pytest.mark.parametrize(
    ("url", "permission"), [(EVENTS, "view_delivery"), (DELIVERIES, "view_event")], ids=str
)
def test_nobody_else_may_take_it(three, login, url, permission):
    assert choose(login(permission), url, across=True).status_code == 403


def test_what_is_selected_is_exported_and_the_manifest_says_so(three, admin_client):
    chosen = [Event.objects.get(primary_key=key) for key in (3, 1)]
    found = opened(choose(admin_client, EVENTS, chosen))
    rows = [json.loads(line) for line in found["events.ndjson"].split(b"\n")[:-1]]
    assert [row["primary_key"] for row in rows] == [3, 1]
    manifest = json.loads(found["manifest.json"])
    assert manifest["filter"] == {"id": [str(event.pk) for event in chosen]}
    assert manifest["count"] == 2


@pytest.mark.parametrize(
    ("query", "expected", "narrowed"),
    [
        ("", [3, 2, 1], {}),
        ("?o=0", [1, 2, 3], {}),
        ("?entity=contact&p=1", [2, 1], {"entity": "contact"}),
        ("?action=sold&action=changed", [3, 2, 1], {"action": ["sold", "changed"]}),
        ("?occurred_at_after=2026-03-05", [3, 2], {"occurred_at_after": "2026-03-05"}),
        ("?q=contact:2", [2], {"q": "contact:2"}),
        ("?q=nobody+knows+this", [], {"q": "nobody knows this"}),
        ("?occurred_at_after=yesterday", [], {"occurred_at_after": "yesterday"}),
    ],
    ids=str,
)
def test_the_whole_list_is_exported_as_it_is_filtered(
    three, admin_client, query, expected, narrowed
):
    answer = choose(admin_client, EVENTS + query, Event.objects.all()[:1], across=True)
    found = opened(answer)
    rows = [json.loads(line) for line in found["events.ndjson"].split(b"\n")[:-1]]
    assert [row["primary_key"] for row in rows] == expected
    assert json.loads(found["manifest.json"])["filter"] == narrowed
    # What was said above that list does not wait for the next page.
    assert not list(admin_client.get(EVENTS).context["messages"])


def test_the_whole_list_of_deliveries_is_exported_as_it_is_filtered(three, admin_client):
    post(b"not JSON")
    answer = choose(admin_client, f"{DELIVERIES}?outcome=recorded", across=True)
    assert keys(answer, "deliveries.ndjson", "outcome") == ["recorded"] * 3
    answer = choose(admin_client, f"{DELIVERIES}?received_at_after=2020-01-01", across=True)
    outcomes = ["quarantined", *["recorded"] * 3]
    assert keys(answer, "deliveries.ndjson", "outcome") == outcomes


def test_all_means_all_and_the_list_says_so(admin_client, monkeypatch):
    store(*(told(number, primary_key=number) for number in range(60)))
    promise = "Select all 60 events"
    assert promise in admin_client.get(EVENTS).content.decode()
    monkeypatch.setattr(BoundedPaginator, "limit", 55)
    html = admin_client.get(EVENTS).content.decode()
    assert "Select all 55 and all that are not listed" in html
    assert "All selected, also those that are not listed" in html
    assert "All 55 selected" not in html
    answer = choose(admin_client, EVENTS, Event.objects.all()[:1], across=True)
    assert keys(answer) == [*range(59, -1, -1)]


def test_the_manifest_tells_what_is_missing_in_the_period_of_the_list(admin_client):
    off = {"entity": "webhook7", "primary_key": 7}
    store(
        told(0, "deleted"),
        told(24),
        told(1, "errors", **off),
        told(2, "started", **off),
        told(24 * 7, "errors", **off),
    )

    def found(query):
        answer = choose(admin_client, EVENTS + query, across=True)
        manifest = json.loads(opened(answer)["manifest.json"])
        stopped = [outage["stopped_at"] for outage in manifest["outages"]["found"]]
        return stopped, [gap["kind"] for gap in manifest["gaps"]["found"]]

    early, late = "2026-03-02T10:00:00Z", "2026-03-09T09:00:00Z"
    assert found("") == ([early, late], ["after_delete"])
    assert found("?occurred_at_before=2026-03-02") == ([early], [])
    assert found("?occurred_at_after=2026-03-03") == ([late], ["after_delete"])


def test_nothing_outside_the_scope_is_exported(login, settings):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
    }
    for context in ("Mine", "Theirs"):
        post(body(ContextIdentifier=context))
    post(b"of no tenant")
    client = login("view_event", "view_delivery")
    for url, model, name in (
        (EVENTS, Event, "events.ndjson"),
        (DELIVERIES, Delivery, "deliveries.ndjson"),
    ):
        for across in (True, False):
            found = opened(choose(client, url, model.objects.all(), across=across))
            assert found[name].count(b"\n") == 1
            assert b"Theirs" not in found[name] + found["manifest.json"]


@pytest.mark.parametrize("selected", ["x", "\0", "9" * 20, "1; DROP TABLE", ""])
@pytest.mark.parametrize("url", [EVENTS, DELIVERIES], ids=["events", "deliveries"])
def test_a_selection_that_no_check_box_made_is_refused(three, admin_client, url, selected):
    data = {"action": "export_csv", "_selected_action": selected}
    assert admin_client.post(url, data).status_code == 400


@pytest.mark.parametrize("data", [{}, {"action": ""}, {"action": "wipe"}], ids=str)
def test_what_is_no_action_or_no_selection_exports_nothing(three, admin_client, data):
    for selected in ({}, {"_selected_action": "1"}):
        answer = admin_client.post(EVENTS, {"index": "0"} | data | selected)
        assert (answer.status_code, answer["Location"]) == (302, EVENTS)


def test_it_is_in_the_log_with_the_bytes_that_are_in_the_archive(three, login, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    raw = opened(choose(login("view_event"), f"{EVENTS}?entity=contact", across=True))
    [message] = caplog.messages
    assert message.startswith('Export of events as ndjson by "olga" ended: filter {"entity": ')
    assert message.endswith(sha256(raw["events.ndjson"]).hexdigest())


def test_an_archive_is_given_part_by_part_and_can_be_given_up(three, admin_user, caplog):
    caplog.set_level(logging.INFO, "superoffice_hooks.trail.export")
    until = Event.objects.latest("id").pk
    made = Export(Selection(Event.objects.all(), until, admin_user, {}), NDJSON)
    parts = bundle(made)
    next(parts)
    assert not caplog.messages
    parts.close()
    [message] = caplog.messages
    assert "was broken off" in message


def test_a_large_archive_is_made_in_little_memory(three, admin_user):
    [delivery, *_] = Delivery.objects.all()
    for _ in range(400):
        delivery.pk, delivery.body = None, b"x" * 100_000
        delivery.save(force_insert=True)
    until = Delivery.objects.latest("id").pk
    made = Export(Selection(Delivery.objects.all(), until, admin_user, {}), NDJSON)
    size = 0
    tracemalloc.start()
    try:
        for part in bundle(made):
            size += len(part)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
    [tally] = made.contents.tallies.values()
    assert tally.size > 40_000_000
    assert 0 < size < 1_000_000


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_it_is_made_whatever_atomic_requests_says(
    admin_client, monkeypatch
):
    assert connection.settings_dict["ATOMIC_REQUESTS"] is True
    monkeypatch.setattr(selection, "CHUNK", 2)
    store(*(told(number) for number in range(6)))
    seen = []

    def note(execute, sql, *args):
        if "superoffice_hooks" in sql:
            seen.append(connection.in_atomic_block)
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        answer = choose(admin_client, EVENTS, across=True)
        asked_before = len(seen)
        assert len(keys(answer)) == 6
    assert 0 < asked_before < len(seen) - 9
    assert not any(seen)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs a writer beside the reader")
@pytest.mark.django_db(transaction=True)
def test_a_writer_who_does_not_end_is_named_and_nothing_is_exported(admin_client, monkeypatch):
    monkeypatch.setattr(follow, "PATIENCE", 0.05)
    store(told(1))
    writer = connection.copy()
    try:
        with transaction.atomic(), writer.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("DELETE FROM superoffice_hooks_event WHERE id = -1")
            answer = choose(admin_client, EVENTS, across=True)
    finally:
        writer.close()
    assert answer.status_code == 302
    [message] = admin_client.get(EVENTS).context["messages"]
    assert str(message).startswith("Events are being written that are not complete yet.")


@pytest.mark.parametrize("across", ["False", "0", ""])
def test_a_manifest_names_the_ticked_rows_however_all_was_denied(three, login, across):
    row = Event.objects.get(primary_key=2)
    data = {"action": "export_ndjson", "_selected_action": [row.pk], "index": "0"}
    files = opened(login("view_event").post(EVENTS, data | {"select_across": across}))
    assert json.loads(files["events.ndjson"])["id"] == row.pk
    assert json.loads(files["manifest.json"])["filter"] == {"id": [str(row.pk)]}
