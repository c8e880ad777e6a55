"""``api/events/``: what it answers, to whom, and what it refuses."""

import json
from base64 import b64encode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authentication import BasicAuthentication

from superoffice_hooks.api.base import TrailView
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from tests.builders import body, post

URL = "/superoffice/api/events/"
SAFE = 2**53 - 1


@pytest.mark.django_db
class TestAnEvent:
    def test_is_told_in_the_words_of_the_wire(self, reader):
        wire = body(Values={"contact_id": 4711}, Region="North", Timestamp="2026-03-02T09:15:27Z")
        post(wire)
        event = Event.objects.get()
        told = reader.get(f"{URL}{event.pk}/").json()
        assert told.pop("received_at") == event.received_at.isoformat().replace("+00:00", "Z")
        assert told == {
            "id": event.pk,
            "event_id": wire["EventId"],
            "name": "contact.changed",
            "entity": "contact",
            "action": "changed",
            "primary_key": 4711,
            "context_identifier": "Cust24680",
            "changed_by_associate_id": 12,
            "webhook_name": "Audit trail",
            "occurred_at": "2026-03-02T09:15:27Z",
            "changed_fields": ["name", "orgNr", "updated"],
            "deleted_values": {"contact_id": 4711},
            "field_values": wire["FieldValues"],
            "properties": {"Region": "North"},
            "flags": [],
            "twin_of": None,
        }

    def test_reads_the_same_in_the_list_and_alone(self, reader):
        post(body())
        [listed] = reader.get(URL).json()["results"]
        assert reader.get(f"{URL}{listed['id']}/").json() == listed

    @pytest.mark.parametrize("key", ["Values", "FieldValues", "Injected"])
    def test_keeps_every_value_in_its_exact_type(self, reader, key):
        values = {
            "big": SAFE,
            "small": -SAFE,
            "null": None,
            "true": True,
            "one": 1,
            "fraction": 0.1,
            "digits": 123456.789012,
            "text": "Blåbær \N{GRINNING FACE}",
            "number as text": "007",
            "encoded": "[I:6]",
            "nested": {"list": [1, None, {"deep": [True, "x"]}], "empty": {}},
        }
        post(body(**{key: values}))
        [event] = reader.get(URL).json()["results"]
        told = {
            "Values": event["deleted_values"],
            "FieldValues": event["field_values"],
            "Injected": event["properties"].get("Injected"),
        }[key]
        assert json.dumps(told, sort_keys=True) == json.dumps(values, sort_keys=True)

    @pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**63 - 1, -(2**63), 10**30])
    @pytest.mark.parametrize("key", ["Values", "FieldValues", "Injected"])
    def test_tells_an_integer_that_javascript_would_round_as_a_string(self, reader, key, number):
        post(body(**{key: {"number": [number]}}, ChangedByAssociateId=SAFE + 1, PrimaryKey=-SAFE))
        answer = reader.get(URL)
        [event] = answer.json()["results"]
        assert f'"{number}"' in answer.content.decode()
        assert (event["changed_by_associate_id"], event["primary_key"]) == (str(SAFE + 1), -SAFE)

    def test_alone_takes_no_filter(self, reader):
        post(body())
        answer = reader.get(f"{URL}{Event.objects.get().pk}/", {"entity": "sale"})
        assert (answer.status_code, list(answer.json())) == (400, ["entity"])

    @pytest.mark.parametrize("pk", ["0", "9" * 19, "9" * 30, "9" * 5000, "x", "-1", "1.5", "%00"])
    def test_that_is_not_there_is_404(self, reader, pk):
        assert reader.get(f"{URL}{pk}/").status_code == 404


@pytest.mark.django_db
class TestWhoMayRead:
    @pytest.mark.parametrize("path", ["", "1/"], ids=["the list", "one event"])
    @pytest.mark.parametrize("method", ["get", "head", "options"])
    def test_nobody_without_a_login(self, client, method, path):
        assert getattr(client, method)(URL + path).status_code in (401, 403)

    @pytest.mark.parametrize("path", ["", "1/"], ids=["the list", "one event"])
    @pytest.mark.parametrize("method", ["get", "head", "options"])
    def test_nobody_without_the_view_permission(self, client, django_user_model, method, path):
        client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
        assert getattr(client, method)(URL + path).status_code == 403

    def test_by_the_sites_own_authentication(self, client, django_user_model, monkeypatch):
        monkeypatch.setattr(TrailView, "authentication_classes", [BasicAuthentication])
        django_user_model.objects.create_superuser("program", password="a secret")
        assert client.get(URL).status_code == 401
        login = b64encode(b"program:a secret").decode()
        answer = client.get(URL, headers={"authorization": f"Basic {login}"})
        assert answer.status_code == 200

    def test_nobody_is_asked_for_tenants_who_may_not_read(
        self, client, django_user_model, settings
    ):
        def fails(user):
            raise AssertionError("asked for a user without permission")

        settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, "CONTEXTS_FOR_USER": fails}
        client.force_login(django_user_model.objects.create_user("clerk"))
        assert client.get(URL).status_code == 403

    def test_everybody_their_own_choices_only(self, scoped):
        for context in ("Mine", "Theirs"):
            kind = {"Entity": context, "Event": f"{context}.{context}", "WebhookName": context}
            post(body(ContextIdentifier=context, Changes=[context], **kind))
        assert scoped.get(f"{URL}choices/").json() == {
            "entity": ["Mine"],
            "action": ["Mine"],
            "context_identifier": ["Mine"],
            "webhook_name": ["Mine"],
            "changed_field": None,
        }

    def test_and_who_may_see_all_chooses_among_all(self, reader):
        for context in ("Acme", "Globex"):
            post(body(ContextIdentifier=context))
        assert reader.get(f"{URL}choices/").json() == {
            "entity": ["contact"],
            "action": ["changed"],
            "context_identifier": ["Acme", "Globex"],
            "webhook_name": ["Audit trail"],
            "changed_field": ["name", "orgNr", "updated"],
        }

    def test_everybody_their_own_tenants_only(self, scoped):
        for context in ("Mine", "mine", "Theirs", ""):
            post(body(ContextIdentifier=context))
        [event] = scoped.get(URL).json()["results"]
        assert event["context_identifier"] == "Mine"
        assert scoped.get(URL, {"context_identifier": "Theirs"}).json()["results"] == []
        answers = {
            event.context_identifier: scoped.get(f"{URL}{event.pk}/").status_code
            for event in Event.objects.all()
        }
        assert answers == {"Mine": 200, "mine": 404, "Theirs": 404, "": 404}


@pytest.mark.django_db
class TestNobodyWrites:
    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "trace"])
    def test_by_any_method(self, admin_client, method):
        post(body(Values={"contact_id": 1}))
        before = [list(model.objects.values()) for model in (Event, Delivery, ChangedField)]
        for path in ("", f"{Event.objects.get().pk}/"):
            data = {} if method == "trace" else {"data": '{"name": "x"}'}
            answer = getattr(admin_client, method)(
                URL + path, content_type="application/json", **data
            )
            assert answer.status_code == 405
            assert answer["Allow"] == "GET, HEAD, OPTIONS"
        assert before == [list(model.objects.values()) for model in (Event, Delivery, ChangedField)]
        assert DeletedValue.objects.count() == 1

    def test_and_head_and_options_answer_without_rows(self, reader):
        post(body())
        head, options = reader.head(URL), reader.options(URL)
        assert (head.status_code, head.content) == (200, b"")
        assert (options.status_code, set(options.json())) == (
            200,
            {"name", "description", "renders", "parses"},
        )


def costs(client, **query):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(URL, query).status_code == 200
    return [sql["sql"] for sql in queries if not sql["sql"].startswith(("SAVEPOINT", "RELEASE"))]


@pytest.mark.django_db
def test_a_page_costs_the_same_queries_for_5_and_for_60_events(admin_client):
    for _ in range(5):
        post(body(Values={"contact_id": 1}))
    few = costs(admin_client, page_size=60)
    for _ in range(55):
        post(body(Values={"contact_id": 1}))
    many = costs(admin_client, page_size=60)
    # Session, user, events, changed fields, deleted values.
    assert (len(few), len(many)) == (5, 5)
    assert not [sql for sql in many if "COUNT(" in sql or "DISTINCT" in sql]
