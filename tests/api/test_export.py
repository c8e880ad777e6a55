"""``export.ndjson``, ``export.csv`` and ``manifest/``: whole, resumable, and what they hold."""

import csv
import hashlib
import io
import json
import logging
import re

import pytest

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail.place import Place
from tests.api.test_pagination import flat, walk
from tests.builders import body, post
from tests.payloads import PAYLOADS

API = "/superoffice/api/"
EVENTS = f"{API}events/export"

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(admin_client):
    for wire in PAYLOADS:
        post(wire)
    post(body(FieldValues={"name": '=HYPERLINK("http://evil.example")', "big": 2**60}))
    post(b"{")
    return admin_client


def taken(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.content
    return answer, b"".join(answer)


def manifest_of(client, answer):
    link = re.fullmatch(r'<(.+)>; rel="describedby"', answer["Link"])
    return client.get(link[1]).json()


def lines_of(content, form):
    if form == "ndjson":
        return content.splitlines()
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


QUERIES = [
    *({}, {"entity": "contact"}, {"ordering": "occurred_at"}, {"ordering": "received_at"}),
    *({"action__in": "deleted,softdeleted"}, {"changed_field": "name"}, {"entity": "absent"}),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_an_export_has_the_rows_of_the_list_in_its_order(stored, query):
    ids = flat(walk(stored, f"{API}events/?" + "&".join(f"{k}={v}" for k, v in query.items())))
    _, ndjson = taken(stored, f"{EVENTS}.ndjson", **query)
    assert [json.loads(line)["id"] for line in ndjson.splitlines()] == ids
    _, text = taken(stored, f"{EVENTS}.csv", **query)
    rows = csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline=""))
    assert [int(row["id"]) for row in rows] == ids


def test_ndjson_is_lossless_where_the_list_has_strings(stored):
    _, ndjson = taken(stored, f"{EVENTS}.ndjson", primary_key=4711)
    line = json.loads(ndjson)
    assert line["field_values"] == {"name": '=HYPERLINK("http://evil.example")', "big": 2**60}
    [listed] = stored.get(f"{API}events/", {"primary_key": 4711}).json()["results"]
    listed["field_values"]["big"] = int(listed["field_values"]["big"])
    assert line == listed


@pytest.mark.parametrize("query", QUERIES, ids=str)
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_the_manifest_tells_what_an_export_holds(stored, form, query):
    answer, content = taken(stored, f"{EVENTS}.{form}", **query)
    post(body())  # what comes later changes nothing
    manifest = manifest_of(stored, answer)
    assert manifest["files"][form] == {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert (manifest["filter"], manifest["what"], manifest["made_by"]) == (query, "events", "admin")
    assert manifest["count"] == len(lines_of(content, form)) - (form == "csv")
    assert manifest["contexts"] is None


@pytest.mark.parametrize("order", ["-occurred_at", "occurred_at", "received_at"])
@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_download_that_broke_off_goes_on_byte_for_byte(stored, form, order):
    answer, content = taken(stored, f"{EVENTS}.{form}", ordering=order)
    until = re.search(r"until=(\d+)", answer["Link"])[1]
    rows = [
        json.loads(line)
        for line in taken(stored, f"{EVENTS}.ndjson", ordering=order)[1].splitlines()
    ]
    post(body(Timestamp="2001-01-01T00:00:00Z"))
    for number in (1, 30, len(rows)):
        place = f"{rows[number - 1][order.removeprefix('-')]}_{rows[number - 1]['id']}"
        _, rest = taken(stored, f"{EVENTS}.{form}", ordering=order, cursor=place, until=until)
        assert content.endswith(rest)
        parts = (
            rest.splitlines()
            if form == "ndjson"
            else list(csv.reader(io.StringIO(rest.decode(), newline="")))
        )
        assert len(parts) == len(rows) - number


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"cursor": "2026-03-02T09:00:00Z_1"}, "until"),
        ({"cursor": "1", "until": "1"}, "cursor"),
        *(({"until": until}, "until") for until in ("x", "-1", "9" * 18, "9" * 30, "", "1.5")),
        ({"entities": "x"}, "entities"),
        ({"page_size": "5"}, "page_size"),
        ({"primary_key": "x"}, "primary_key"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["events/export.ndjson", "events/export.csv"])
def test_what_cannot_be_answered_is_refused(stored, form, query, name):
    answer = stored.get(API + form, query)
    assert (answer.status_code, list(answer.json())) == (400, [name])
    assert answer["Content-Type"] == "application/json"


@pytest.mark.django_db(transaction=True)  # goes on after an error
@pytest.mark.parametrize("path", ["events/export.ndjson", "deliveries/export.csv"])
def test_a_cursor_of_another_time_than_its_row_is_refused(stored, path):
    model = Event if "events" in path else Delivery
    row, until = model.objects.earliest("pk"), model.objects.latest("pk").pk
    wrong = row.occurred_at if model is Event else row.received_at.replace(microsecond=1)
    query = {"cursor": str(Place(wrong, row.pk)), "until": until, "ordering": "received_at"}
    answer = stored.get(API + path, query)
    assert (answer.status_code, list(answer.json())) == (400, ["cursor"])
    assert "received_at" in answer.json()["cursor"][0]
    for elsewhere in (Place(row.received_at, until + 1), Place(row.received_at, 10**17)):
        assert stored.get(API + path, query | {"cursor": str(elsewhere)}).status_code == 400
    query["cursor"] = str(Place(row.received_at, row.pk))
    _, content = taken(stored, API + path, **query)
    form = path.rpartition(".")[2]
    assert len(lines_of(content, form)) == model.objects.count() - 1


def test_deliveries_are_exported_with_their_bytes(stored):
    answer, ndjson = taken(stored, f"{API}deliveries/export.ndjson", ordering="id")
    rows = [json.loads(line) for line in ndjson.splitlines()]
    assert [row["body"].encode() for row in rows] == [
        bytes(row.body) for row in Delivery.objects.order_by("id")
    ]
    assert manifest_of(stored, answer)["count"] == len(rows) == len(PAYLOADS) + 2
    _, broken = taken(stored, f"{API}deliveries/export.ndjson", outcome="quarantined")
    assert [json.loads(line)["body"] for line in broken.splitlines()] == ["{"]


def test_the_manifest_marks_the_gaps_in_the_range(admin_client):
    for day, phone, values in ((1, "name", {"orgNr": "1"}), (5, "phone", {"orgNr": "2"})):
        post(body(Changes=[phone], FieldValues=values, Timestamp=f"2026-03-0{day}T10:00:00Z"))
    for day, action in ((2, "errors"), (3, "started")):
        post(
            body(
                Event=f"webhook.{action}",
                Entity="webhook",
                PrimaryKey=19,
                Changes=[],
                FieldValues={},
                Timestamp=f"2026-03-0{day}T10:00:00Z",
            )
        )
    first, second, *_ = Event.objects.order_by("pk")
    manifest = admin_client.get(f"{API}events/manifest/").json()
    [gap] = manifest["gaps"]["found"]
    assert (gap["kind"], gap["since"], gap["until"]) == ("moved", first.pk, second.pk)
    assert gap["moved"] == ["orgNr"]
    [outage] = manifest["outages"]["found"]
    assert (outage["stopped_at"], outage["started_at"]) == (
        *("2026-03-02T10:00:00Z", "2026-03-03T10:00:00Z"),
    )
    silent = {"occurred_at_after": "2026-03-02T11:00:00Z", "occurred_at_before": "2026-03-02"}
    manifest = admin_client.get(f"{API}events/manifest/", silent).json()
    assert (manifest["count"], manifest["outages"]["found"]) == (0, [outage])
    assert (manifest["after"], manifest["before"]) == (
        *("2026-03-02T11:00:00Z", "2026-03-02T23:59:59.999999Z"),
    )
    late = {"occurred_at_before": "2026-03-03", "received_at_after": "2026-10-01"}
    manifest = admin_client.get(f"{API}events/manifest/", late).json()
    assert (manifest["count"], manifest["outages"]["found"]) == (3, [outage])
    other = {"context_identifier": "Other", "context_identifier__in": "Other,Cust24680"}
    manifest = admin_client.get(f"{API}events/manifest/", other).json()
    assert (manifest["outages"]["tenants"], manifest["outages"]["found"]) == (1, [])
    earlier = {"occurred_at_before": "2026-03-01T12:00:00Z"}
    manifest = admin_client.get(f"{API}events/manifest/", earlier).json()
    assert (manifest["gaps"]["found"], manifest["outages"]["found"]) == ([], [])
    assert (manifest["count"], manifest["gaps"]["records"]) == (1, 1)


@pytest.mark.parametrize("path", ["events/export.ndjson", "events/export.csv"])
def test_nobody_takes_what_they_may_not_see(scoped, path):
    for context in ("Mine", "Theirs"):
        post(body(ContextIdentifier=context, EventId=...))
    _, content = taken(scoped, API + path)
    assert b"Mine" in content
    assert b"Theirs" not in content
    manifest = scoped.get(f"{API}events/manifest/").json()
    assert (manifest["count"], manifest["outages"]["tenants"]) == (1, 1)
    assert manifest["contexts"] == ["Mine"]
    _, content = taken(scoped, API + path, context_identifier="Theirs")
    assert b"Theirs" not in content


def test_the_log_says_who_took_what(stored, caplog):
    with caplog.at_level(logging.INFO, "superoffice_hooks.trail.export"):
        _, content = taken(stored, f"{EVENTS}.ndjson", entity="contact")
        stored.head(f"{EVENTS}.ndjson")
    [line] = [record.getMessage() for record in caplog.records if "xport" in record.getMessage()]
    for part in ("admin", '"entity": "contact"', hashlib.sha256(content).hexdigest()):
        assert part in line
