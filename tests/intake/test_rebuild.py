"""The rows of an event, derived again from the delivery that recorded it."""

import gzip
import json
from unittest import mock

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.intake import rebuild as module
from superoffice_hooks.intake.rebuild import Change, Problem
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from tests.builders import body, encode, inserts, post
from tests.intake.cases import RECORDED

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    """One event with rows of every kind."""
    wire = body(
        Event="sale.changed",
        Entity="sale",
        Changes=["heading", "amount"],
        Values={"sale_id": 4711, "number": "7"},
        FieldValues={"heading": "Roof", "contact_id": 21, "person_id": 5},
        Environment="Production",
    )
    post(wire)
    return Event.objects.get()


def rebuild(event, write):
    """Rebuild one event."""
    [difference] = module.rebuild([event.pk], write)
    return difference


def everything():
    """All rows of all events, and of their deliveries."""
    models = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
    return [
        list(model.objects.order_by(*order).values())
        for model, order in zip(
            models,
            (
                ["id"],
                ["event_id", "position"],
                ["event_id", "name"],
                ["event_id", "entity", "primary_key"],
                ["id"],
            ),
            strict=True,
        )
    ]


def places(difference):
    return [change.place for change in difference.changes]


@pytest.mark.parametrize(("raw", "flags"), RECORDED)
def test_what_was_just_recorded_differs_in_nothing(raw, flags):
    assert post(raw).content == b"recorded\n"
    before = everything()
    for write in (False, True):
        difference = rebuild(Event.objects.get(), write)
        assert (difference.changes, difference.problem) == ((), None)
    assert everything() == before


@pytest.mark.parametrize(
    "number", ["1e23", "-0.0", "1.0", "0.1", "1e-7", "123456789012345678901234567890", "1E+300"]
)
def test_a_number_that_the_database_spells_otherwise_is_no_difference(number):
    wire = json.dumps(body(FieldValues={"n": "#"}, Values={"n": ["#"]}, Odd={"deep": ["#", True]}))
    assert post(wire.replace('"#"', number).encode()).content == b"recorded\n"
    assert rebuild(Event.objects.get(), write=True).changes == ()


def test_what_python_takes_for_the_same_is_not(event):
    Event.objects.update(field_values={"heading": "Roof", "contact_id": 21, "person_id": 5.0})
    assert rebuild(event, write=False).changes == ()
    post(body(FieldValues={"flag": True, "none": None}))
    other = Event.objects.latest("id")
    Event.objects.filter(pk=other.pk).update(field_values={"flag": 1})
    assert rebuild(other, write=False).changes == (
        Change("field_values", "flag", 1, True),
        Change("field_values", "none", "…", None),
    )


SPOILT = {
    "entity": lambda event: Event.objects.update(entity="other"),
    "action": lambda event: Event.objects.update(action="other"),
    "changed_by_associate_id": lambda event: Event.objects.update(changed_by_associate_id=99),
    "webhook_name": lambda event: Event.objects.update(webhook_name=""),
    "occurred_at": lambda event: Event.objects.update(occurred_at=event.received_at),
    "flags (1 → 0)": lambda event: Event.objects.update(flags=["lossy"]),
    "field_values.heading": lambda event: Event.objects.update(
        field_values=event.field_values | {"heading": "Wall"}
    ),
    "field_values.more": lambda event: Event.objects.update(
        field_values=event.field_values | {"more": None}
    ),
    "properties.Environment": lambda event: Event.objects.update(properties={}),
    "changed_fields (1 → 2)": lambda event: event.changed_fields.filter(position=1).delete(),
    "changed_fields (2 → 2)": lambda event: event.changed_fields.filter(position=0).update(
        name="name"
    ),
    "deleted_values.number": lambda event: event.deleted_values.filter(name="number").update(
        value="8"
    ),
    "deleted_values.sale_id": lambda event: event.deleted_values.filter(name="sale_id").delete(),
    "related_records (1 → 2)": lambda event: event.related_records.filter(entity="person").delete(),
    "related_records (2 → 2)": lambda event: event.related_records.filter(entity="person").update(
        occurred_at=event.received_at
    ),
}


@pytest.mark.parametrize(("place", "spoil"), SPOILT.items(), ids=SPOILT)
def test_what_differs_is_named_and_written(event, place, spoil):
    right = everything()
    spoil(event)
    spoilt = everything()
    assert spoilt != right
    assert places(rebuild(event, write=False)) == [place]
    assert everything() == spoilt
    assert places(rebuild(event, write=True)) == [place]
    assert everything() == right
    assert rebuild(event, write=True).changes == ()


def test_everything_at_once_is_written(event):
    right = everything()
    Event.objects.update(entity="x", flags=["lossy"], properties={}, field_values={})
    event.changed_fields.all().delete()
    event.deleted_values.all().delete()
    event.related_records.all().delete()
    difference = rebuild(event, write=True)
    assert len(difference.changes) == 10
    assert everything() == right


def test_values_are_told_only_by_those_who_ask(event):
    Event.objects.update(field_values=event.field_values | {"heading": "Wall"}, webhook_name="x")
    webhook, heading = rebuild(event, write=False).changes
    assert webhook.place == "webhook_name"
    assert str(webhook) == "webhook_name: 'x' → 'Audit trail'"
    assert str(heading) == "field_values.heading: 'Wall' → 'Roof'"
    assert "Wall" not in heading.place


def test_what_a_later_parser_reads_otherwise_is_written(event):
    parse = module.parse

    def later(raw):
        payload = parse(raw)
        return payload._replace(changes=(*payload.changes, "more"), action="edited")

    before = Event.objects.values().get()
    with mock.patch.object(module, "parse", later):
        assert places(rebuild(event, write=True)) == ["action", "changed_fields (2 → 3)"]
    assert Event.objects.values().get() == before | {"action": "edited"}
    assert event.changed_fields.count() == 3


def test_a_body_without_event_id_has_the_key_that_it_got():
    event_id = "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    post(body(EventId=...), X_SuperOffice_EventId=event_id)
    post(body(EventId=..., PrimaryKey=2))
    for event in Event.objects.all():
        assert rebuild(event, write=True).problem is None


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda: Delivery.objects.all().delete(), Problem.NO_DELIVERY),
        (lambda: Delivery.objects.update(outcome="duplicate"), Problem.NO_DELIVERY),
        (lambda: Delivery.objects.update(body=b"not JSON"), Problem.UNREADABLE),
        (lambda: Event.objects.update(primary_key=1), Problem.OTHER_KEY),
        (lambda: Event.objects.update(context_identifier=""), Problem.OTHER_KEY),
        (lambda: Event.objects.update(name="sale.sold"), Problem.OTHER_KEY),
        (lambda: Event.objects.update(event_id="0" * 31 + "1"), Problem.OTHER_KEY),
    ],
)
def test_an_event_that_its_delivery_does_not_give_is_left_alone(event, spoil, problem):
    Event.objects.update(entity="other")
    spoil()
    before = everything()
    difference = rebuild(event, write=True)
    assert (difference.problem, difference.changes) == (problem, ())
    assert ("not JSON" in difference.detail) == (problem == Problem.UNREADABLE)
    assert everything() == before
    assert str(problem.label)


def test_a_problem_that_appears_in_that_moment_changes_nothing(event):
    Event.objects.update(entity="other")
    before, parse, read = everything(), module.parse, []

    def fickle(raw):
        read.append(raw)
        if len(read) > 1:
            raise PayloadError("No more.")
        return parse(raw)

    with mock.patch.object(module, "parse", fickle):
        assert rebuild(event, write=True).problem == Problem.UNREADABLE
    assert everything() == before


def test_twins_stay_twins(event):
    wire = json.loads(bytes(Delivery.objects.get().body))
    post(wire | {"EventId": "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10", "WebhookName": "Other"})
    told = list(Event.objects.order_by("id").values_list("fingerprint", "twin_of"))
    assert told[1] == (None, event.pk)
    Event.objects.update(action="x")
    for each in Event.objects.all():
        assert places(rebuild(each, write=True)) == ["action"]
    assert list(Event.objects.order_by("id").values_list("fingerprint", "twin_of")) == told


@pytest.mark.django_db(transaction=True)
def test_what_the_database_does_not_take_changes_nothing(event):
    Event.objects.update(entity="other")
    event.changed_fields.all().delete()
    event.related_records.all().delete()
    before = everything()

    def execute(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_relatedrecord"):
            raise OperationalError("disk full")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        difference = rebuild(event, write=True)
    assert (str(difference.error), difference.changes) == ("disk full", ())
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_nobody_elses_transaction_can_take_it_back(event):
    Event.objects.update(entity="other")
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        rebuild(event, write=True)
    assert Event.objects.get().entity == "other"


def recorded(*wires):
    """Post these, and return the ids of their events."""
    for wire in wires:
        assert post(wire).content == b"recorded\n"
    return list(Event.objects.order_by("id").values_list("pk", flat=True))


def test_any_number_costs_as_many_queries_as_one():
    pks = recorded(*(body(PrimaryKey=key, FieldValues={"person_id": 5}) for key in range(100)))
    for write in (False, True):
        asked = []
        for number in (1, 10, 100):
            with CaptureQueriesContext(connection) as queries:
                differences = list(module.rebuild(pks[:number], write))
            assert [difference.event_pk for difference in differences] == pks[:number]
            assert not any(difference.changes for difference in differences)
            asked.append(len(queries))
        assert asked == [6, 6, 6]


def test_only_what_differs_is_written_each_by_itself():
    pks = recorded(*(body(PrimaryKey=key) for key in range(5)))
    right = everything()
    Event.objects.filter(pk__in=pks[1:3]).update(entity="other")
    with CaptureQueriesContext(connection) as queries:
        differences = list(module.rebuild(reversed(pks), write=True))
    assert [(each.event_pk, places(each)) for each in differences] == [
        (pk, ["entity"] if pk in pks[1:3] else []) for pk in reversed(pks)
    ]
    assert everything() == right
    assert sum(query["sql"].startswith("UPDATE") for query in queries) == 2


def test_each_of_many_is_compared_with_its_own_delivery():
    wires = [
        body(PrimaryKey=key, Changes=[f"a{key}", "b"], Values={"v": key}, FieldValues={"n": key})
        for key in range(1, 6)
    ]
    pks = recorded(*wires)
    Event.objects.filter(pk=pks[0]).update(field_values={"n": 2})
    Event.objects.get(pk=pks[1]).deleted_values.update(value=3)
    Delivery.objects.filter(event=pks[2]).update(outcome="duplicate")
    Delivery.objects.filter(event=pks[3]).update(body=b"<")
    gone = pks[4] + 1
    first, second, third, fourth, fifth = module.rebuild([*pks[:4], gone, pks[4]], write=False)
    assert first.changes == (Change("field_values", "n", 2, 1),)
    assert second.changes == (Change("deleted_values", "v", 3, 2),)
    assert (third.problem, fourth.problem) == (Problem.NO_DELIVERY, Problem.UNREADABLE)
    assert (fifth.event_pk, fifth.changes, fifth.problem) == (pks[4], (), None)


def test_of_several_deliveries_the_first_counts():
    [pk] = recorded(body(PrimaryKey=1))
    later = Delivery.objects.get()
    later.pk, later.body = None, b"<"
    later.save(force_insert=True)
    [difference] = module.rebuild([pk], write=False)
    assert difference.problem is None


def test_no_more_bodies_are_held_at_once_than_their_size_allows(monkeypatch):
    monkeypatch.setattr(module, "BUDGET", 10_000)
    text = "x" * 7_000
    pks = recorded(
        body(PrimaryKey=1),
        body(PrimaryKey=2),
        body(PrimaryKey=3, FieldValues={"text": text}),
        body(PrimaryKey=4, FieldValues={"text": text * 3}),
        body(PrimaryKey=5),
        gzip.compress(encode(body(PrimaryKey=6, FieldValues={"text": text}))),
        body(PrimaryKey=7),
        gzip.compress(encode(body(PrimaryKey=8, Odd=text))),
        gzip.compress(encode(body(PrimaryKey=9, Values={"text": text}))),
        body(PrimaryKey=10),
    )
    # What is to be rebuilt may say nothing of its size.
    Event.objects.exclude(pk=pks[8]).update(flags=[])
    at_once = []

    def execute(run, sql, params, many, context):
        if "headers" in sql:
            at_once.append([pks.index(pk) + 1 for pk in params if pk in pks])
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        differences = list(module.rebuild(pks, write=False))
    assert at_once == [[1, 2], [3], [4], [5], [6], [7], [8], [9], [10]]
    assert [each.event_pk for each in differences] == pks
    assert not any(each.problem or each.error for each in differences)
    assert [places(each) for each in differences if each.changes] == [["flags (0 → 1)"]] * 2


def test_nothing_is_read_of_what_no_delivery_is_kept_of():
    pks = recorded(body(PrimaryKey=1), body(PrimaryKey=2), body(PrimaryKey=3))
    Delivery.objects.filter(event=pks[1]).delete()
    with CaptureQueriesContext(connection) as queries:
        differences = list(module.rebuild(pks, write=False))
    assert [each.problem for each in differences] == [None, Problem.NO_DELIVERY, None]
    whole = [query["sql"] for query in queries if "webhook_name" in query["sql"]]
    assert len(whole) == 1
    assert f" {pks[0]}" in whole[0].replace("(", " ")
    assert f" {pks[1]}" not in whole[0].replace("(", " ")


def test_each_is_asked_alone_where_nothing_is_told_of_their_sizes():
    pks, asked = recorded(*(body(PrimaryKey=key) for key in range(3))), []

    def execute(run, sql, params, many, context):
        if "LENGTH(" in sql.upper():
            raise OperationalError("out of memory")
        if "headers" in sql:
            asked.append([pk for pk in params if pk in pks])
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        assert [each.event_pk for each in module.rebuild(pks, write=False)] == pks
    assert asked == [[pk] for pk in pks]


@pytest.mark.django_db(transaction=True)
def test_what_has_gone_meanwhile_is_passed_over():
    pks = recorded(*(body(PrimaryKey=key) for key in range(3)))
    Event.objects.update(entity="other")
    rebuilding = module.rebuild(pks, write=True)
    assert next(rebuilding).event_pk == pks[0]
    for model in (ChangedField, Delivery):
        model.objects.filter(event=pks[1]).delete()
    Event.objects.filter(pk=pks[1])._raw_delete(Event.objects.db)
    assert [each.event_pk for each in rebuilding] == [pks[2]]


def test_more_than_are_weighed_at_once_are_taken_in_steps(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    pks = recorded(*(body(PrimaryKey=key) for key in range(5)))
    Event.objects.update(entity="other")
    differences = list(module.rebuild(iter(pks), write=True))
    assert [(each.event_pk, places(each)) for each in differences] == [
        (pk, ["entity"]) for pk in pks
    ]
    assert list(module.rebuild([], write=True)) == []


@pytest.mark.parametrize("word", ["headers", "LENGTH("], ids=["read", "weighed"])
def test_what_the_database_cannot_tell_of_one_it_tells_of_the_others(word):
    pks = recorded(*(body(PrimaryKey=key) for key in range(3)))
    Event.objects.update(entity="other")

    def execute(run, sql, params, many, context):
        if pks[1] in (params or ()) and (word in sql or "headers" in sql):
            raise OperationalError("could not read block")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        first, second, third = module.rebuild(pks, write=True)
    assert (str(second.error), second.changes) == ("could not read block", ())
    assert (places(first), places(third)) == (["entity"], ["entity"])
    assert list(Event.objects.order_by("id").values_list("entity", flat=True)) == [
        "contact",
        "other",
        "contact",
    ]


def test_no_value_is_in_what_a_traceback_shows(event):
    Event.objects.update(webhook_name="secret")
    assert "secret" not in repr(rebuild(event, write=False))
