"""The generated week: what it promises, told from the bytes alone."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.samples import Sample, week
from superoffice_hooks.wire.payload import parse
from superoffice_hooks.wire.values import decode

UNTIL = datetime(2025, 11, 20, 12, 34, 56, 789012, tzinfo=UTC)


def bodies(samples: list[Sample]) -> list[dict[str, Any]]:
    """The readable bodies, retries left out."""
    read = []
    for sample in samples:
        if sample.headers["X-SuperOffice-Retry"] == "0":
            try:
                read.append(json.loads(sample.body))
            except ValueError:
                continue
    return read


@pytest.mark.parametrize("events", [1, 2, 20, 37, 500])
def test_yields_exactly_as_many_as_asked_for(events):
    assert len(list(week(events, 1, UNTIL))) == events


def test_same_arguments_give_the_same_bytes():
    assert list(week(300, 7, UNTIL)) == list(week(300, 7, UNTIL))


def test_an_until_without_zone_is_utc_and_zones_do_not_matter():
    local = UNTIL.astimezone(timezone(timedelta(hours=5)))
    assert list(week(50, 7, UNTIL.replace(tzinfo=None))) == list(week(50, 7, local))


def test_another_until_gives_other_event_ids_for_the_same_records():
    first = bodies(list(week(300, 7, UNTIL)))
    later = bodies(list(week(300, 7, UNTIL + timedelta(seconds=1))))
    assert not {body["EventId"] for body in first} & {body["EventId"] for body in later}
    assert [(body.get("Event"), body["PrimaryKey"]) for body in first] == [
        (body.get("Event"), body["PrimaryKey"]) for body in later
    ]


def test_another_seed_gives_other_records():
    keys = [{body["PrimaryKey"] for body in bodies(list(week(300, s, UNTIL)))} for s in (1, 2)]
    assert len(keys[0] & keys[1]) < 20


def test_begins_with_the_test_event():
    first = next(week(1, 1, UNTIL, ["Cust1"]))
    assert first.headers["X-Hook-Test"] == "true"
    assert parse(first.body).is_test


def test_headers_name_what_the_body_says_and_hold_no_signature():
    for sample in week(300, 1, UNTIL):
        assert "X-SuperOffice-Signature" not in sample.headers
        try:
            body = json.loads(sample.body)
        except ValueError:
            continue
        assert sample.headers["X-SuperOffice-EventId"] == body["EventId"]
        assert sample.headers["X-SuperOffice-Event"] == body.get("Event", "person.changed")


def test_timestamps_ascend_through_the_week_mostly_in_working_hours():
    stamps = [body["Timestamp"] for body in bodies(list(week(1000, 1, UNTIL)))]
    moments = [datetime.fromisoformat(stamp) for stamp in stamps]
    assert moments == sorted(moments)
    assert UNTIL - timedelta(days=7) <= moments[0] <= moments[-1] < UNTIL
    assert moments[-1] - moments[0] > timedelta(days=4)
    working = [moment for moment in moments if moment.weekday() < 5 and 6 <= moment.hour < 15]
    assert len(working) > 0.8 * len(moments)
    fractions = [stamp.partition(".")[2].removesuffix("Z") for stamp in stamps]
    assert {7, 6} <= {len(fraction) for fraction in fractions}
    assert not any(fraction.endswith("0") for fraction in fractions)


@pytest.mark.parametrize("events", [20, 600])
def test_story_comes_early(events):
    samples = list(week(events, 1, UNTIL))[:20]
    story = bodies(samples)
    company = story[1]["PrimaryKey"]
    names = [
        (body["FieldValues"]["name"], body["ChangedByAssociateId"])
        for body in story
        if body["PrimaryKey"] == company and "name" in body["Changes"]
    ]
    assert len({name for name, _ in names}) == len({by for _, by in names}) == 3
    events_told = {body.get("Event") for body in story}
    assert {
        "relation.created",
        "sale.deleted",
        "contact.softdeleted",
        "contact.deleted",
        "webhook7.errors",
        "webhook7.started",
        None,
    } <= events_told
    assert any(sample.headers["X-SuperOffice-Retry"] == "1" for sample in samples)


def test_two_bodies_cannot_be_read_and_all_others_can():
    reasons = []
    for sample in week(2000, 1, UNTIL):
        try:
            parse(sample.body)
        except PayloadError as error:
            reasons.append(error.reason)
    assert len(reasons) == 2


def test_retries_repeat_an_earlier_delivery_byte_for_byte():
    samples = list(week(2000, 1, UNTIL))
    retried = [sample for sample in samples if sample.headers["X-SuperOffice-Retry"] == "1"]
    assert 3 <= len(retried) <= 40
    first = {sample.body for sample in samples if sample.headers["X-SuperOffice-Retry"] == "0"}
    assert all(sample.body in first for sample in retried)


def test_every_event_has_an_id_of_its_own():
    ids = [body["EventId"] for body in bodies(list(week(2000, 1, UNTIL)))]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_snapshots_move_only_in_fields_that_an_event_named(seed):
    """All but the lost change, which is the gap that the trail has to find."""
    state: dict[tuple[str, str, int], dict[str, Any]] = {}
    named: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    unexplained = []
    for body in bodies(list(week(1500, seed, UNTIL))):
        record = (body["ContextIdentifier"], body.get("Entity", ""), body["PrimaryKey"])
        named[record] |= set(body["Changes"])
        if "FieldValues" not in body:
            continue
        values = {name: decode(value) for name, value in body["FieldValues"].items()}
        if body.get("Event", "").endswith(".deleted"):
            values.pop("last_changed", None)
        before = state.get(record, values)
        moved = {name for name in values if before[name] != values[name]}
        unexplained += [(body.get("Event"), name) for name in moved - named[record]]
        state[record] = before | values
        named[record].clear()
    assert unexplained == [("contact.changed", "category_idx")]


def test_nothing_happens_to_a_deleted_record():
    gone = set()
    for body in bodies(list(week(3000, 1, UNTIL))):
        record = (body["ContextIdentifier"], body.get("Entity"), body["PrimaryKey"])
        assert record not in gone
        if body.get("Event", "").endswith(".deleted"):
            gone.add(record)
            assert "Values" in body
    assert len(gone) > 30


def test_the_webhook_is_off_for_two_hours():
    moments = {
        body.get("Event"): datetime.fromisoformat(body["Timestamp"])
        for body in bodies(list(week(3000, 1, UNTIL)))
        if body.get("Event", "").startswith("webhook7.")
    }
    assert moments["webhook7.started"] - moments["webhook7.errors"] >= timedelta(hours=2)


def test_extra_tables_send_encoded_values_and_plain_ones_when_deleted():
    rows = [body for body in bodies(list(week(3000, 1, UNTIL))) if body.get("Entity") == "y_car"]
    for body in rows:
        encoded = body["FieldValues"]["id"] == f"[I:{body['PrimaryKey']}]"
        assert encoded is not body["Event"].endswith(".deleted")
    assert any(body["FieldValues"]["last_changed"].startswith("[DT:") for body in rows)


def test_every_tenant_has_all_the_main_entities():
    told = defaultdict(set)
    for body in bodies(list(week(1000, 1, UNTIL, ["Cust1", "Cust2", "Cust3"]))):
        told[body["ContextIdentifier"]].add(body.get("Entity"))
    main = {"contact", "person", "sale", "relation", "ticket", "activity", "project", "document"}
    assert all(main <= told[context] for context in ("Cust1", "Cust2", "Cust3"))


def test_text_is_utf_8_and_not_escaped():
    assert "Tåkeheimen".encode() in b"".join(sample.body for sample in week(20, 1, UNTIL))
