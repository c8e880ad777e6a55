"""The schema against the live server, by schemathesis: 5,000 requests as four different users.

Whatever is asked, the answer is one that the schema documents, and it holds what the user may see
and nothing else. CONFORMANCE_SEED and CONFORMANCE_REQUESTS choose another run.
"""

import csv
import io
import json
import os
from collections import Counter
from datetime import UTC, datetime

import pytest
import requests
import schemathesis
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import Resolver404, resolve
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from superoffice_hooks.models import ChangedField, Delivery, Event, RelatedRecord
from superoffice_hooks.samples import week
from superoffice_hooks.trail.place import Place
from tests.builders import body, encode, post
from tests.payloads import PAYLOADS

pytestmark = [pytest.mark.conformance, pytest.mark.django_db(transaction=True)]

SEED = int(os.environ.get("CONFORMANCE_SEED", "20260302"))
REQUESTS = int(os.environ.get("CONFORMANCE_REQUESTS", "5000"))
MINE, FOREIGN = "Cust24680", "Cust97531"
ROLES = ("anonymous", "no permission", "one tenant", "all")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LARGEST = 2**63 - 1
UNTIL = datetime(2026, 3, 8, tzinfo=UTC)


@schemathesis.deserializer("text/csv", "application/x-ndjson")
def as_text(context, response):
    """The schema says of an export that it is text; what it holds is looked at below."""
    return response.text


@pytest.fixture
def trail():
    """The documented payloads and a week, each of two tenants with the same records."""
    for tenant in (MINE, FOREIGN):
        own = {"ContextIdentifier": tenant, "WebhookName": f"Webhook of {tenant}"}
        for wire in PAYLOADS:
            post(wire | own)
        post(body(PrimaryKey=LARGEST, Values={"contact_id": -LARGEST - 1, "x": [1e300]}, **own))
        post(encode(PAYLOADS[0] | own))
    for sample in week(150, 7, UNTIL, [MINE, FOREIGN]):
        post(sample.body, **sample.headers)


def known(queryset, *fields):
    """What the rows hold in these fields, in an order that does not change."""
    return {
        field: list(queryset.order_by(field).values_list(field, flat=True).distinct())
        for field in fields
    }


@pytest.fixture
def values(trail):
    """Values that find something, of both tenants, by the parameter that takes them."""
    found = known(
        Event.objects.all(),
        "id",
        "context_identifier",
        "entity",
        "action",
        "name",
        "primary_key",
        "changed_by_associate_id",
        "webhook_name",
    )
    ids = [*found["id"], *Delivery.objects.order_by("id").values_list("id", flat=True)]
    events = Event.objects.order_by("id")
    moments = [moment.isoformat() for moment in events.values_list("occurred_at", flat=True)]
    names = ChangedField.objects.order_by("name").values_list("name", flat=True).distinct()
    record = ("context_identifier", "entity", "primary_key")
    records = [
        *Event.objects.order_by(*record).values(*record).distinct(),
        *RelatedRecord.objects.order_by(*record).values(*record).distinct(),
    ]
    places = [str(Place.of(event)) for event in events[::20]]
    texts = ["contact_id:1201", "person_id:88", "project_id:77", "country_id:578", "50%:1"]
    lists = {f"{name}__in": [some[:2], some[-1:]] for name, some in found.items()}
    return (
        found
        | lists
        | {
            "id": ids,
            "event": found["id"],
            "record": records,
            "around": [it for it in records if it["primary_key"] in (1201, 88)],
            "until": [0, *found["id"]],
            "of": ["activity", "sale"],
            "event_id": [str(guid) for guid in events.values_list("event_id", flat=True)],
            "changed_field": [[name] for name in names],
            "deleted_value": [[text] for text in texts],
            "field_value": [[text] for text in texts],
            "occurred_at_after": moments,
            "occurred_at_before": moments,
            "received_at_after": ["2026-01-01T00:00:00Z"],
            "received_at_before": ["2099-01-01T00:00:00Z"],
            "following": ["latest", "0", *map(str, found["id"][::20])],
            "cursor": places + [f"back_{place}" for place in places],
        }
    )


@pytest.fixture(params=ROLES)
def role(request, settings, django_user_model):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: [MINE] if user.get_username() == "one tenant" else None,
    }
    return request.param


@pytest.fixture
def session(role, django_user_model):
    """A connection to the server that has logged in, where somebody does."""
    session = requests.Session()
    # The server writes an answer in two parts, and a kept connection would delay the second.
    session.headers["Connection"] = "close"
    if role != "anonymous":
        user = django_user_model.objects.create_user(role)
        if role != "no permission":
            readable = ["view_event", "view_delivery"]
            user.user_permissions.set(Permission.objects.filter(codename__in=readable))
        client = Client()
        client.force_login(user)
        session.cookies.update({name: it.value for name, it in client.cookies.items()})
    with session:
        yield session


@pytest.fixture
def operations(live_server, admin_client):
    """The operations of the schema that the server gives."""
    description = admin_client.get("/superoffice/api/schema/").json()
    schema = schemathesis.openapi.from_dict(description)
    schema.config.update(base_url=live_server.url)
    schema.config.generation.update(with_security_parameters=False)
    return [operation.ok() for operation in schema.get_all_operations()]


def questions(operation, values):
    """Requests as the schema has them, or as it has them not; half ask for what is there."""
    return st.composite(lambda draw: question(draw, operation, values))()


def question(draw, operation, values):
    mode = draw(st.sampled_from([GenerationMode.POSITIVE] * 3 + [GenerationMode.NEGATIVE]))
    case = draw(operation.as_strategy(generation_mode=mode))
    if not draw(st.booleans()):
        return case
    place = case.path_parameters
    required = {it.name for it in operation.query if it.is_required}
    optional = sorted({it.name for it in operation.query} - required)
    if operation.path.endswith("/follow/"):
        values = values | {"cursor": values["following"]}
    chosen = draw(st.lists(st.sampled_from(optional), max_size=2)) if optional else ()
    case.query = {
        name: draw(st.sampled_from(values[name])) if name in values else case.query[name]
        for name in chosen
        if name in values or name in case.query
    }
    if operation.path.endswith("/summary/"):
        case.query["occurred_at_before"] = UNTIL.isoformat()  # by itself it ends today
    if "id" in place:
        place["id"] = draw(st.sampled_from(values["id"]))
    elif place or required:
        (place if place else case.query).update(
            draw(st.sampled_from(values[draw(st.sampled_from(["record", "around"]))]))
        )
    return case


def rows(answer):
    """The rows of an export; of JSON all objects, however deep, but for values of the wire."""
    kind = answer.headers.get("content-type", [""])[0].partition(";")[0]
    if kind == "application/x-ndjson":
        yield from map(json.loads, answer.text.splitlines())
    elif kind == "text/csv":
        yield from csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    elif answer.content:
        yield from objects(answer.json())


# Keys that are not ours: values of the wire, parameters, names of actions.
UNREAD = {"field_values", "deleted_values", "properties", "headers", "filter", "actions"}


def objects(value):
    if isinstance(value, list):
        for item in value:
            yield from objects(item)
    elif isinstance(value, dict):
        yield value
        for name, item in value.items():
            if name not in UNREAD:
                yield from objects(item)


class Tenant:
    """What a user of one tenant may come to know, told from the rows themselves."""

    def __init__(self, tenant):
        events = Event.objects.filter(context_identifier=tenant)
        self.contexts = {tenant}
        self.count = events.count()
        self.events = {str(pk) for pk in events.values_list("pk", flat=True)}
        self.deliveries = {
            str(pk) for pk in Delivery.objects.filter(event__in=events).values_list("pk", flat=True)
        }
        self.known = {
            name: set(events.values_list(name, flat=True))
            for name in ("entity", "action", "webhook_name", "context_identifier")
        }

    def check(self, operation, answer):
        """Fail where the answer tells of another tenant; return how many rows it has."""
        if operation.endswith("/choices/"):
            offered = answer.json()
            assert offered.pop("changed_field") is None
            assert {name: set(texts) for name, texts in offered.items()} == self.known
            return len(offered)
        told = 0
        for row in rows(answer):
            assert row.get("context_identifier", MINE) in self.contexts, row
            if "outcome" in row:
                told += 1
                assert str(row["id"]) in self.deliveries, row
                assert str(row["event"]) in self.events, row
            elif "event_id" in row:
                told += 1
                assert str(row["id"]) in self.events, row
            for name in ("event", "stopped", "started", "since", "until"):
                if isinstance(row.get(name), int) and "files" not in row:
                    assert str(row[name]) in self.events, row
            if "days" in row or "files" in row:
                told += row["count"]  # a summary, a manifest
            if "count" in row:
                assert row["count"] <= max(self.count, len(self.deliveries)), row
        return told


def test_answers_are_those_of_the_schema(role, session, operations, values):
    share = -(-REQUESTS // len(ROLES))
    mine = Tenant(MINE)
    statuses, told = Counter(), Counter()

    def ask(operation, budget, number):
        @seed(number)
        @settings(
            max_examples=budget,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=questions(operation, values))
        def asked(case):
            answer = case.call(session=session)
            note(answer.request.url)
            try:
                resolve(answer.request.path_url.partition("?")[0])
            except Resolver404:
                assert answer.status_code == 404  # no address of the API: the site's own page
                return
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)
            if role in ("anonymous", "no permission"):
                assert answer.status_code in (401, 403)
            elif role == "one tenant" and answer.status_code == 200:
                told[operation.path] += mine.check(operation.path, answer)

        asked()

    number = SEED
    while (left := share - statuses.total()) > 0:
        for operation in operations:
            number += 1
            ask(operation, -(-left // len(operations)), number)
    print(f"{role}: seed {SEED}, {statuses.total()} requests, answered {dict(statuses)}")
    print(f"rows of the tenant: {dict(told)}")
    if role in ("one tenant", "all"):
        assert {200, 304, 400, 404} <= set(statuses)
    if role == "one tenant":
        assert {operation.path for operation in operations if not told[operation.path]} == set()
