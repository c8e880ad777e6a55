"""``api/records/``: the story of a record, as the admin's page tells it."""

from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.models import Event
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.history import GapKind, Provenance
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.timeline import timeline
from tests.builders import body, post
from tests.trail.histories import store, told

API = "/superoffice/api/records/"
COMPANY = f"{API}Cust24680/contact/4711/"


def tell(day, event="contact.changed", changes=("name",), **wire):
    """Post what happened on this day of March."""
    wire = {"PrimaryKey": 4711, "FieldValues": {}} | wire
    entity = event.rpartition(".")[0]
    post(
        body(Timestamp=f"2026-03-{day:02}T10:00:00Z", Event=event, Entity=entity)
        | {"Changes": list(changes)}
        | wire
    )


def names(entry):
    return {change["name"]: change for change in entry["changes"]}


@pytest.fixture
def story(admin_client, settings):
    """A company that is renamed twice, the second time in secret, and then deleted."""
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "ASSOCIATE_NAME": lambda context, associate: f"{context}'s number {associate}",
        "INTEGRATION_USERS": {"Cust24680": [12]},
        "RECORD_URLS": {"contact": "https://crm.example.com/{primary_key}"},
    }
    tell(1, "contact.created", FieldValues={"name": "Fjord", "orgNr": "1"})
    tell(2, "contact.changed", ["name", "updated"], FieldValues={"name": "Fjell", "orgNr": "1"})
    tell(3, "webhook.errors", [], PrimaryKey=19)
    tell(4, "webhook.started", [], PrimaryKey=19)
    tell(5, "contact.changed", ["phone"], FieldValues={"name": "Fjell", "orgNr": "2"})
    tell(6, "person.changed", PrimaryKey=8, FieldValues={"contact_id": 4711, "name": "Kari"})
    tell(7, "contact.deleted", [], Values={"contact_id": 4711, "associate_id": 5})
    tell(8, "contact.changed", ["phone"])
    return admin_client


@pytest.mark.django_db
class TestAStory:
    def test_is_told_newest_first_with_what_the_record_is(self, story):
        told = story.get(COMPANY).json()
        assert told == told | {
            "context_identifier": "Cust24680",
            "entity": "contact",
            "primary_key": 4711,
            "url": "https://crm.example.com/4711",
        }
        assert {entry["event"]["flags"] == [] for entry in told["entries"]} == {True}
        assert (told["trail_began"], told["has_created"]) == ("2026-03-01T10:00:00Z", True)
        assert [entry["event"]["occurred_at"][8:10] for entry in told["entries"]] == [
            *("08", "07", "05", "02", "01"),
        ]
        assert told["next"] is None

    def test_has_the_value_before_and_after_and_where_it_is_from(self, story):
        entry = story.get(COMPANY).json()["entries"][3]
        first, second = Event.objects.filter(entity="contact").order_by("occurred_at")[:2]
        assert names(entry)["name"] == {
            "name": "name",
            "before": {"value": "Fjord", "event": first.pk},
            "after": {"value": "Fjell", "event": second.pk},
            "provenance": "derived",
            "by": {
                "id": first.pk,
                "event_id": str(first.event_id),
                "name": "contact.created",
                "occurred_at": "2026-03-01T10:00:00Z",
            },
            "is_same": False,
            "is_technical": False,
        }
        assert names(entry)["updated"]["provenance"] == "first_sight"
        assert names(entry)["updated"]["is_technical"]
        assert names(entry)["updated"]["after"] is None

    def test_says_who_did_it(self, story):
        assert story.get(COMPANY).json()["entries"][0]["changed_by"] == {
            "associate_id": 12,
            "context_identifier": "Cust24680",
            "name": "Cust24680's number 12",
            "is_integration": True,
        }

    def test_marks_the_gaps(self, story):
        after, _, moved, *_ = story.get(COMPANY).json()["entries"]
        [gap] = moved["gaps"]
        assert (gap["kind"], gap["since"]["occurred_at"], gap["until"]["occurred_at"]) == (
            "moved",
            "2026-03-02T10:00:00Z",
            "2026-03-05T10:00:00Z",
        )
        [change] = gap["moved"]
        assert (change["name"], change["before"]["value"], change["after"]["value"]) == (
            *("orgNr", "1", "2"),
        )
        assert [gap["kind"] for gap in after["gaps"]] == ["after_delete"]

    def test_tells_when_a_webhook_was_off(self, story):
        [outage] = story.get(COMPANY).json()["outages"]
        assert (outage["stopped"]["name"], outage["started"]["name"]) == (
            *("webhook.errors", "webhook.started"),
        )

    def test_has_a_dossier_of_the_deletion(self, story):
        dossier = story.get(COMPANY).json()["dossier"]
        assert (dossier["is_gone"], dossier["is_cut"]) == (True, False)
        assert [step["event"]["action"] for step in dossier["steps"]] == ["deleted"]
        assert set(dossier["steps"][0]) == {"event", "changed_by", "is_undelete"}
        assert dossier["steps"][0]["event"]["deleted_values"]["associate_id"] == 5
        assert [entry["event"]["occurred_at"][8:10] for entry in dossier["after"]] == ["08"]
        assert dossier["snapshot"]["field_values"] == {"name": "Fjell", "orgNr": "2"}

    def test_has_what_happened_around_it(self, story):
        around = story.get(COMPANY).json()["related"]
        assert (around["entities"], around["next"]) == (["person"], None)
        [mention] = around["results"]
        assert mention["event"]["field_values"]["name"] == "Kari"
        assert (mention["named_in"], mention["tied"]) == (["contact_id"], None)

    def test_is_the_admins_own(self, story, admin_user):
        record = Record("Cust24680", "contact", 4711)
        page = timeline(record, admin_user, Technical())
        told = story.get(COMPANY).json()
        assert [entry["event"]["id"] for entry in told["entries"]] == [
            entry.event.pk for entry in page.entries
        ]
        for shown, entry in zip(told["entries"], page.entries, strict=True):
            assert [change["provenance"] for change in shown["changes"]] == [
                change.provenance.value for change in entry.changes
            ]
            assert [gap["kind"] for gap in shown["gaps"]] == [gap.kind.value for gap in entry.gaps]

    def test_of_a_record_that_others_name_alone_has_no_entries(self, story):
        tell(9, "sale.created", PrimaryKey=3, FieldValues={"project_id": 77})
        told = story.get(f"{API}Cust24680/project/77/").json()
        assert (told["entries"], told["trail_began"], told["dossier"]) == ([], None, None)
        assert (told["has_created"], told["outages"]) == (False, [])
        assert [mention["event"]["primary_key"] for mention in told["related"]["results"]] == [3]


def test_the_words_of_the_schema_are_the_trails():
    assert {kind.value for kind in GapKind} == {"moved", "unborn", "after_delete", "in_the_bin"}
    assert len(Provenance) == 6


@pytest.mark.django_db
class TestALongStory:
    @pytest.fixture
    def long(self, admin_client):
        store(*(told(hour, changes=["name"], values={"name": f"{hour}"}) for hour in range(120)))
        return admin_client

    def test_is_paged_and_has_each_event_once(self, long):
        seen, url = [], COMPANY
        while url:
            page = long.get(url).json()
            seen += [entry["event"]["id"] for entry in page["entries"]]
            assert (page["related"] is None) == ("cursor" in url)
            url = page["next"]
        newest_first = Event.objects.order_by("-occurred_at", "-id")
        assert seen == list(newest_first.values_list("pk", flat=True))

    def test_beyond_its_end_is_404(self, long):
        url = f"{COMPANY}?cursor=2001-01-01T00:00:00Z_1"
        assert long.get(url).status_code == 404

    def test_costs_as_many_queries_as_a_short_one(self, long):
        def costs(url):
            with CaptureQueriesContext(connection) as queries:
                assert long.get(url).status_code == 200
            return len([sql for sql in queries if sql["sql"].startswith("SELECT")])

        post(body(PrimaryKey=1, ContextIdentifier="Other"))
        assert costs(COMPANY) == costs(f"{API}Other/contact/1/") == 11

    def test_around_a_record_is_paged_too(self, long):
        for number in range(75):
            entity = "person" if number % 5 else "sale"
            tell(1, f"{entity}.changed", PrimaryKey=number, FieldValues={"contact_id": 4711})
        for query, expected in (("", 75), ("?of=person", 60), ("?of=sale", 15), ("?of=x", 0)):
            seen, url = [], f"{COMPANY}related/{query}"
            while url:
                page = long.get(url).json()
                seen += [mention["event"]["id"] for mention in page["results"]]
                assert page["entities"] == ["person", "sale"]
                url = page["next"]
            assert (len(seen), len(set(seen))) == (expected, expected)


WHERE = {
    "an empty tenant": {"ContextIdentifier": ""},
    "a tenant with a space": {"ContextIdentifier": "Acme Ltd"},
    "a tenant with a slash": {"ContextIdentifier": "Acme/Oslo"},
    "an extra table": {"Entity": "y_car", "Event": "y_car.changed"},
    "an entity with a dot": {"Entity": "list.category", "Event": "list.category.changed"},
    "an entity of two words": {"Entity": "blåbær 100%", "Event": "blåbær 100%.changed"},
    "a negative key": {"PrimaryKey": -7},
    "a large key": {"PrimaryKey": 2**63 - 1},
}


@pytest.mark.django_db
class TestWhichRecord:
    @pytest.mark.parametrize("wire", WHERE.values(), ids=WHERE)
    def test_is_found_by_query(self, admin_client, wire):
        post(body(**wire))
        event = Event.objects.get()
        query = {
            "context_identifier": event.context_identifier,
            "entity": event.entity,
            "primary_key": event.primary_key,
        }
        [entry] = admin_client.get(API, query).json()["entries"]
        assert entry["event"]["id"] == event.pk
        assert admin_client.get(f"{API}related/", query).json()["results"] == []

    @pytest.mark.parametrize("name", [name for name in WHERE if "slash" not in name][1:])
    def test_is_found_by_path(self, admin_client, name):
        post(body(**WHERE[name]))
        event = Event.objects.get()
        parts = (event.context_identifier, event.entity, str(event.primary_key))
        path = "/".join(quote(part, safe="") for part in parts)
        [entry] = admin_client.get(f"{API}{path}/").json()["entries"]
        assert entry["event"]["id"] == event.pk

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, {"context_identifier", "entity", "primary_key"}),
            ({"entity": "contact", "primary_key": 1}, {"context_identifier"}),
            ({"context_identifier": "", "entity": "contact", "primary_key": "x"}, {"primary_key"}),
            ({"context_identifier": "", "entity": "", "primary_key": 1}, {"entity"}),
            ({"context_identifier": "", "entity": "a", "primary_key": 2**63}, {"primary_key"}),
            ({"context_identifier": "", "entity": "a\0", "primary_key": 1}, {"entity"}),
            (
                {"context_identifier": "x" * 256, "entity": "a", "primary_key": 1},
                {"context_identifier"},
            ),
            ({"context_identifier": "", "entity": "a", "primary_key": 1, "x": 1}, {"x"}),
            ({"context_identifier": "", "entity": "a", "primary_key": 1, "of": 1}, {"of"}),
            ({"context_identifier": "", "entity": "a", "primary_key": 1, "cursor": 1}, {"cursor"}),
        ],
        ids=str,
    )
    def test_is_refused_by_the_name_of_the_parameter(self, admin_client, query, names):
        answer = admin_client.get(API, query)
        assert (answer.status_code, set(answer.json())) == (400, names)

    @pytest.mark.parametrize("path", ["Cust24680/contact/x/", f"Cust24680/contact/{2**63}/"])
    def test_is_refused_by_path_too(self, admin_client, path):
        answer = admin_client.get(f"{API}{path}")
        assert (answer.status_code, list(answer.json())) == (400, ["primary_key"])

    @pytest.mark.parametrize("path", ["", "related/"])
    def test_is_404_outside_of_the_readers_tenants(self, scoped, path):
        post(body(ContextIdentifier="Mine"))
        post(body(ContextIdentifier="Theirs"))
        assert scoped.get(f"{API}Mine/contact/4711/{path}").status_code == 200
        assert scoped.get(f"{API}Theirs/contact/4711/{path}").status_code == 404

    def test_is_404_where_nothing_is_known_of_it(self, admin_client):
        assert admin_client.get(COMPANY).status_code == 404
