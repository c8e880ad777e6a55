"""What a manifest tells of an export, and what it does not look at."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from superoffice_hooks import __version__
from superoffice_hooks.models import Event
from superoffice_hooks.trail import manifest as manifests
from superoffice_hooks.trail import selection as selections
from superoffice_hooks.trail.export import Export
from superoffice_hooks.trail.formats import FORMATS
from superoffice_hooks.trail.manifest import manifest
from tests.builders import body, post
from tests.trail.exports import deliveries, events, lines, selection, user
from tests.trail.histories import MONDAY, store, told

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("rows", [events, deliveries])
def test_a_manifest_tells_what_the_whole_export_is_whatever_came_since(odd, small_chunks, rows):
    chosen = selection(rows(), filter={"entity": ["contact"]}, user=user("kari"))
    whole = {name: b"".join(Export(chosen, format)) for name, format in FORMATS.items()}
    post(body())
    found = manifest(chosen)
    assert found["files"] == {
        name: {"bytes": len(raw), "sha256": sha256(raw).hexdigest()} for name, raw in whole.items()
    }
    sent = lines(whole["ndjson"])
    moments = sorted(row["occurred_at" if rows is events else "received_at"] for row in sent)
    assert found["count"] == len(sent)
    assert (found["first"], found["last"]) == (moments[0], moments[-1])
    assert (found["what"], found["order"], found["until"], found["made_by"]) == (
        rows.__name__,
        chosen.order,
        chosen.until,
        "kari",
    )
    assert found["filter"] == {"entity": ["contact"]}
    assert found["made_with"] == f"superoffice_hooks {__version__}"
    age = datetime.now(UTC) - datetime.fromisoformat(found["made_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert json.loads(json.dumps(found)) == found


def test_a_manifest_of_nothing():
    found = manifest(selection())
    assert (found["count"], found["first"], found["last"]) == (0, None, None)
    assert found["outages"]["found"] == []
    assert found["gaps"] == {"records": 0, "all_looked_at": True, "found": []}


def test_rows_that_vanish_meanwhile_are_not_told_of(monkeypatch):
    kept, _ = store(told(0), told(1))
    monkeypatch.setattr(selections, "CHUNK", 1)
    monkeypatch.setattr(selections.EventRows, "weigh", staticmethod(purging_all_but(kept)))
    found = manifest(selection())
    assert (found["count"], found["first"]) == (1, "2026-03-02T09:00:00Z")


def purging_all_but(kept):
    """Somebody purges between the query for the ids and the one for the rows."""

    def weigh(sizes, alias):
        Event.objects.exclude(pk=kept.pk).delete()
        return sizes

    return weigh


def webhook(hours, action, tenant="Cust24680"):
    return told(hours, action, entity="webhook7", primary_key=7, context_identifier=tenant)


def test_a_manifest_tells_when_a_webhook_of_its_tenants_was_off():
    stopped, started, again, _ = store(
        webhook(1, "errors"),
        webhook(3, "started"),
        webhook(20, "stopped"),
        webhook(1, "errors", "Another"),
    )
    store(told(2), told(10))
    asked = selection(events(entity="contact"), tenants=["Cust24680", "Nobody"])
    found = manifest(asked)["outages"]
    assert found == {
        "tenants": 2,
        "all_looked_at": True,
        "found": [
            {
                "context_identifier": "Cust24680",
                "webhook": 7,
                "stopped_at": "2026-03-02T10:00:00Z",
                "stopped": stopped.pk,
                "started_at": "2026-03-02T12:00:00Z",
                "started": started.pk,
            },
            {
                "context_identifier": "Cust24680",
                "webhook": 7,
                "stopped_at": "2026-03-03T05:00:00Z",
                "stopped": again.pk,
                "started_at": None,
                "started": None,
            },
        ],
    }


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (None, None, [1, 20]),
        (None, 0.5, []),
        (None, 1, [1]),
        (2, 2.5, [1]),
        (3, 19, [1]),
        (3.5, 19, []),
        (3.5, None, [20]),
        (500, None, [20]),
    ],
    ids=str,
)
def test_a_manifest_tells_of_outages_in_the_period_that_was_asked_for(after, before, expected):
    store(told(0), webhook(1, "errors"), webhook(3, "started"), webhook(20, "stopped"))
    period = {
        name: MONDAY + timedelta(hours=hours)
        for name, hours in (("after", after), ("before", before))
        if hours is not None
    }
    found = manifest(selection(**period))["outages"]["found"]
    expected = [(MONDAY + timedelta(hours=hours)).isoformat() for hours in expected]
    assert [outage["stopped_at"].replace("Z", "+00:00") for outage in found] == expected


def test_a_manifest_tells_the_gaps_before_its_events():
    first, second = store(
        told(1, "created", values={"name": "Before"}),
        told(2, changes=("orgNr",), values={"name": "After"}),
    )
    deleted, late = store(told(3, "deleted", primary_key=5), told(4, primary_key=5))
    found = manifest(selection())["gaps"]
    assert (found["records"], found["all_looked_at"]) == (2, True)
    assert sorted(found["found"], key=lambda gap: gap["until"]) == [
        {
            "kind": "moved",
            "context_identifier": "Cust24680",
            "entity": "contact",
            "primary_key": 4711,
            "since": first.pk,
            "since_at": "2026-03-02T10:00:00Z",
            "until": second.pk,
            "until_at": "2026-03-02T11:00:00Z",
            "moved": ["name"],
        },
        {
            "kind": "after_delete",
            "context_identifier": "Cust24680",
            "entity": "contact",
            "primary_key": 5,
            "since": deleted.pk,
            "since_at": "2026-03-02T12:00:00Z",
            "until": late.pk,
            "until_at": "2026-03-02T13:00:00Z",
            "moved": [],
        },
    ]
    without = manifest(selection(events().exclude(pk__in=[second.pk, late.pk])))["gaps"]
    assert (without["records"], without["found"]) == (2, [])
    assert manifest(selection(until=second.pk))["gaps"]["found"] == found["found"][-1:]


def test_a_manifest_finds_the_gaps_on_every_page_of_a_long_story():
    store(told(0, "deleted"), *(told(hours) for hours in range(1, 121)))
    assert len(manifest(selection())["gaps"]["found"]) == 120
    period = events(occurred_at__lte=MONDAY + timedelta(hours=30))
    assert len(manifest(selection(period))["gaps"]["found"]) == 30


def test_a_manifest_reads_of_a_story_the_pages_of_its_period(monkeypatch):
    monkeypatch.setattr(manifests, "MAX_PAGES", 1)
    store(told(0, "deleted"), *(told(hours) for hours in range(1, 201)))
    for first in (30, 100, 180):
        hours = (MONDAY + timedelta(hours=first), MONDAY + timedelta(hours=first + 19))
        found = manifest(selection(events(occurred_at__range=hours)))["gaps"]
        assert (found["all_looked_at"], len(found["found"])) == (True, 20)


@pytest.mark.parametrize("limit", ["MAX_RECORDS", "MAX_PAGES", "MAX_GAPS"])
def test_a_manifest_says_where_it_did_not_look_at_every_record(monkeypatch, limit):
    store(
        *(told(key, "deleted", primary_key=key) for key in (1, 2, 3)),
        *(told(10 + key, primary_key=key) for key in (1, 2, 3)),
    )
    whole = manifest(selection())["gaps"]
    assert (whole["records"], whole["all_looked_at"], len(whole["found"])) == (3, True, 3)
    monkeypatch.setattr(manifests, limit, 2)
    cut = manifest(selection())["gaps"]
    assert (cut["records"], cut["all_looked_at"], len(cut["found"])) == (2, False, 2)
    monkeypatch.setattr(manifests, limit, 3)
    assert manifest(selection())["gaps"] == whole


@pytest.mark.parametrize("limit", ["MAX_TENANTS", "MAX_OUTAGES"])
def test_a_manifest_says_where_it_did_not_look_at_every_tenant(monkeypatch, limit):
    for tenant in ("A", "B", "C"):
        store(told(1, context_identifier=tenant), webhook(2, "errors", tenant))
    whole = manifest(selection())["outages"]
    assert (whole["tenants"], whole["all_looked_at"], len(whole["found"])) == (3, True, 3)
    monkeypatch.setattr(manifests, limit, 2)
    cut = manifest(selection())["outages"]
    assert (cut["all_looked_at"], len(cut["found"])) == (False, 2)


def test_a_manifest_tells_of_nothing_outside_the_scope(settings):
    for tenant in ("Mine", "Theirs"):
        store(
            told(1, "deleted", context_identifier=tenant),
            told(2, context_identifier=tenant),
            webhook(3, "errors", tenant),
        )
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
    }
    found = manifest(selection())
    assert found["count"] == 3
    assert len(found["gaps"]["found"]) == len(found["outages"]["found"]) == 1
    assert "Theirs" not in json.dumps(found)


def test_a_manifest_of_deliveries_tells_the_outages_of_their_tenants():
    post(body())
    post(b"of no tenant")
    store(webhook(1, "errors"), webhook(1, "errors", "Another"))
    found = manifest(selection(deliveries()))
    off = [outage["context_identifier"] for outage in found["outages"]["found"]]
    assert off == ["Another", "Cust24680"]  # the one that sent nothing else too
    assert found["gaps"] is None
