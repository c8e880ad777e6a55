"""The filters beside the lists."""

import re
from urllib.parse import parse_qs

import pytest
from django.utils import timezone

from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.trail import facets
from tests.builders import body, post

LIST = "/admin/superoffice_hooks/event/"

pytestmark = pytest.mark.django_db


def listed(answer):
    assert answer.status_code == 200
    return [event.primary_key for event in answer.context["cl"].result_list]


def spec(answer, parameter):
    [found] = [spec for spec in answer.context["cl"].filter_specs if parameter in spec.parameters()]
    return found


def offered(answer, parameter):
    """The choices of a filter: their texts, and which of them are chosen."""
    choices = list(spec(answer, parameter).choices(answer.context["cl"]))
    chosen = [str(choice["display"]) for choice in choices if choice["selected"]]
    return [str(choice["display"]) for choice in choices], chosen


def texts(answer):
    return [str(message) for message in answer.context["messages"]]


class TestChoices:
    @pytest.fixture(autouse=True)
    def four(self):
        post(body(PrimaryKey=1))
        post(body(PrimaryKey=2, Event="sale.deleted", Entity=..., ContextIdentifier="Acme"))
        post(body(PrimaryKey=3, Event="sale.softdeleted", Entity=..., WebhookName="Night"))
        post(body(PrimaryKey=4, Event="status", Entity=..., ContextIdentifier=""))

    @pytest.mark.parametrize(
        ("parameter", "choices"),
        [
            ("entity", ["All", "contact", "sale", "status"]),
            (
                "action",
                [
                    *("All", "(empty)", "changed", "deleted for good", "soft-deleted"),
                    "soft-deleted or deleted for good",
                ],
            ),
            ("context_identifier", ["All", "(empty)", "Acme", "Cust24680"]),
            ("webhook_name", ["All", "Audit trail", "Night"]),
        ],
    )
    def test_are_the_values_that_occur(self, admin_client, parameter, choices):
        assert offered(admin_client.get(LIST), parameter) == (choices, ["All"])

    def test_lead_to_their_events(self, admin_client):
        answer = admin_client.get(LIST)
        links = {
            str(choice["display"]): choice["query_string"]
            for choice in spec(answer, "action").choices(answer.context["cl"])
        }
        assert listed(admin_client.get(LIST + links["(empty)"])) == [4]
        assert listed(admin_client.get(LIST + links["soft-deleted"])) == [3]
        assert listed(admin_client.get(LIST + links["soft-deleted or deleted for good"])) == [3, 2]
        assert listed(admin_client.get(LIST + links["All"])) == [4, 3, 2, 1]

    @pytest.mark.parametrize(
        ("asked", "chosen"),
        [
            (["deleted"], "deleted for good"),
            (["deleted", "softdeleted"], "soft-deleted or deleted for good"),
            (["softdeleted", "deleted"], "soft-deleted or deleted for good"),
            (["changed", "deleted", ""], "changed, deleted for good or (empty)"),
            (["sold"], "sold"),
        ],
    )
    def test_show_what_is_asked_for(self, admin_client, asked, chosen):
        choices, now = offered(admin_client.get(LIST, {"action": asked}), "action")
        assert now == [chosen]
        assert len(choices) == len(set(choices))

    def test_offer_both_deletions_only_where_both_occur(self, admin_client):
        Event.objects.filter(action="deleted").update(action="gone")
        choices, _ = offered(admin_client.get(LIST), "action")
        assert "soft-deleted or deleted for good" not in choices

    @pytest.mark.parametrize("actions", [["errors", "started"], ["stopped", "errors", "started"]])
    def test_offer_when_webhooks_were_off_and_on_together(self, admin_client, actions):
        for number, action in enumerate(actions, 1):
            post(body(Event=f"webhook7.{action}", Entity=..., PrimaryKey=number))
        answer = admin_client.get(LIST)
        links = {
            str(choice["display"]): choice["query_string"]
            for choice in spec(answer, "action").choices(answer.context["cl"])
        }
        states = [name for name in links if " or started" in name]
        others = "" if len(actions) == 2 else ", stopped"
        assert states == [f"switched off after errors{others} or started"]
        answer = admin_client.get(LIST + links[states[0]])
        assert {event.action for event in answer.context["cl"].result_list} == set(actions)
        assert offered(answer, "action")[1] == states

    @pytest.mark.parametrize(
        ("action", "name"),
        [
            ("errors", "switched off after errors"),
            ("stopped", "stopped"),
            ("started", "started"),
        ],
    )
    def test_offer_one_state_of_a_webhook_once(self, admin_client, action, name):
        post(body(Event=f"webhook7.{action}", Entity=..., PrimaryKey=7))
        choices, _ = offered(admin_client.get(LIST), "action")
        assert [choice for choice in choices if name in choice] == [name]

    def test_keep_the_other_parameters(self, admin_client):
        answer = admin_client.get(LIST, {"entity": ["sale", "status"], "o": "0", "p": "1"})
        [link] = [
            choice["query_string"]
            for choice in spec(answer, "action").choices(answer.context["cl"])
            if choice["display"] == "deleted for good"
        ]
        assert parse_qs(link[1:]) == {
            "entity": ["sale", "status"],
            "o": ["0"],
            "action": ["deleted"],
        }

    def test_a_search_keeps_repeated_parameters(self, admin_client):
        html = admin_client.get(LIST, {"action": ["a", "b"], "q": "1"}).content.decode()
        assert '<input type="hidden" name="action" value="b">' in html
        assert '<input type="hidden" form="changelist-search" name="action" value="a">' in html
        assert html.count('form="changelist-search"') == 1

    def test_an_empty_trail_offers_nothing_and_still_applies_what_is_asked(self, admin_client):
        Delivery.objects.all().delete()
        Event.objects.all().delete()
        answer = admin_client.get(LIST)
        filters = [str(spec.title) for spec in answer.context["cl"].filter_specs]
        assert filters == ["time", "changed field", "associate"]
        assert offered(admin_client.get(LIST, {"entity": "x"}), "entity") == (["All", "x"], ["x"])


class TestForms:
    def test_keep_the_other_parameters_and_not_the_page(self, admin_client):
        post(body())
        query = {"action": ["changed", "x"], "q": "4711", "o": "0", "changed_field": "y"}
        answer = admin_client.get(LIST, {**query, "e": "1", "p": "1"})
        others = [("action", "changed"), ("action", "x"), ("q", "4711"), ("o", "0")]
        assert spec(answer, "changed_field").others == others
        html = answer.content.decode()
        forms = re.findall('<form method="get" class="so-filter">.*?</form>', html, re.DOTALL)
        [form] = [form for form in forms if 'id="so-changed_field"' in form]
        for name, value in others:
            assert f'<input type="hidden" name="{name}" value="{value}">' in form
        assert 'type="hidden" name="changed_field"' not in form
        assert 'type="hidden" name="e"' not in form
        assert 'type="hidden" name="p"' not in form

    def test_label_their_inputs(self, admin_client):
        html = admin_client.get(LIST).content.decode()
        for name in (
            *("occurred_at_after", "occurred_at_before"),
            *("changed_field", "changed_by_associate_id"),
        ):
            assert f'<label for="so-{name}">' in html
            assert re.search(rf'<input [^>]*id="so-{name}" name="{name}" value=""', html)

    def test_show_the_value_and_a_way_back(self, admin_client):
        answer = admin_client.get(LIST, {"changed_field": "<i>", "entity": "sale"})
        assert 'name="changed_field" value="&lt;i&gt;"' in answer.content.decode()
        [undo] = spec(answer, "changed_field").choices(answer.context["cl"])
        assert undo["query_string"] == "?entity=sale"
        assert not list(spec(answer, "changed_by_associate_id").choices(answer.context["cl"]))

    def test_offer_the_fields_that_changed(self, admin_client):
        post(body(Changes=["orgNr", "name"]))
        html = admin_client.get(LIST).content.decode()
        assert '<option value="name"></option><option value="orgNr"></option></datalist>' in html

    def test_name_the_associate_where_the_site_knows_them(self, admin_client, settings):
        own = {"ASSOCIATE_NAME": lambda context, number: {"A": "Kari", "B": "Ola"}.get(context)}
        settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **own}
        for context in ("A", "A", "B", "C"):
            post(body(ContextIdentifier=context))

        def meaning(**query):
            answer = admin_client.get(LIST, {"changed_by_associate_id": "12", **query})
            found = re.findall('<p class="so-meaning">(.*?)</p>', answer.content.decode())
            return found[0] if found else ""

        assert meaning() == "Kari (A), Ola (B)"
        assert meaning(context_identifier="A") == "Kari"
        assert meaning(context_identifier="C") == ""
        assert meaning(context_identifier="D") == ""


class TestMomentRange:
    MOMENTS = (
        "2026-02-28T22:59:59.9Z",
        "2026-02-28T23:00:00Z",
        "2026-03-01T22:59:59.999999Z",
        "2026-03-01T23:00:00Z",
        "2026-03-29T12:00:00Z",
    )

    @pytest.fixture(autouse=True)
    def moments(self):
        for number, moment in enumerate(self.MOMENTS, 1):
            post(body(PrimaryKey=number, Timestamp=moment))

    @pytest.mark.parametrize(
        ("after", "before", "keys"),
        [
            ("2026-03-01", "2026-03-01", [3, 2]),
            ("2026-03-01", "", [5, 4, 3, 2]),
            ("", "2026-03-01", [3, 2, 1]),
            ("", "2026-02-28", [1]),
            ("2026-03-02", "2026-03-28", [4]),
            ("2026-03-29", "2026-03-29", [5]),  # a day of 23 hours
            ("2026-02-28T23:00:00Z", "2026-03-01T23:00:00+00:00", [3, 2]),
            ("2026-03-01T00:00", "2026-03-02T00:00", [3, 2]),
            ("2026-03-01 00:00:00+01:00", "2026-03-01", [3, 2]),
            ("2026-03-01T22:59:59.999999Z", "2026-03-01T23:00:00Z", [3]),
            ("2026-03-01T22:59:59.999999-00:00", "2026-03-01T22:59:59.999999001Z", None),
            (" 2026-03-29 ", "", [5]),
            ("", "", [5, 4, 3, 2, 1]),
        ],
    )
    def test_means_days_of_the_reader_and_moments_of_the_clock(
        self, admin_client, after, before, keys
    ):
        with timezone.override("Europe/Oslo"):
            answer = admin_client.get(
                LIST, {"occurred_at_after": after, "occurred_at_before": before}
            )
        assert listed(answer) == ([] if keys is None else keys)
        assert len(texts(answer)) == (keys is None)

    def test_shows_the_days_of_the_span(self, admin_client):
        with timezone.override("Europe/Oslo"):
            dates = admin_client.get(
                LIST, {"occurred_at_after": "2026-03-01", "occurred_at_before": "2026-03-02"}
            )
            moments = admin_client.get(
                LIST,
                {
                    "occurred_at_after": "2026-03-01T23:30Z",
                    "occurred_at_before": "2026-03-02T23:00Z",
                },
            )
        for answer, first in ((dates, "2026-03-01"), (moments, "2026-03-02")):
            html = answer.content.decode()
            assert f'name="occurred_at_after" value="{first}"' in html
            assert 'name="occurred_at_before" value="2026-03-02"' in html
        assert "so-meaning" not in dates.content.decode()
        assert "from March 2, 2026, 12:30 a.m. until March 3, 2026, midnight" in (
            moments.content.decode()
        )

    @pytest.mark.parametrize(
        ("name", "first", "last"),
        [
            ("Any time", None, None),
            ("Today", "2026-03-01", "2026-03-01"),
            ("Last 7 days", "2026-02-23", "2026-03-01"),
            ("Last 30 days", "2026-01-31", "2026-03-01"),
            ("This month", "2026-03-01", "2026-03-01"),
            ("Last month", "2026-02-01", "2026-02-28"),
        ],
    )
    def test_offers_what_is_asked_for_most(self, admin_client, monkeypatch, name, first, last):
        now = timezone.datetime(2026, 3, 1, 0, 30, tzinfo=timezone.get_fixed_timezone(60))
        monkeypatch.setattr(timezone, "now", lambda: now)
        with timezone.override("Europe/Oslo"):
            answer = admin_client.get(
                LIST, {"entity": "contact", "occurred_at_before": "2026-01-01"}
            )
            choices = list(spec(answer, "occurred_at_after").choices(answer.context["cl"]))
        [link] = [choice["query_string"] for choice in choices if str(choice["display"]) == name]
        given = {"occurred_at_after": first, "occurred_at_before": last, "entity": "contact"}
        assert parse_qs(link[1:]) == {key: [value] for key, value in given.items() if value}
        with timezone.override("Europe/Oslo"):
            _, chosen = offered(admin_client.get(LIST + link), "occurred_at_after")
        assert name in chosen


@pytest.mark.parametrize(
    "query",
    [
        *("entity=%00", "action=changed&action=%00", "context_identifier=a%00", "webhook_name=%00"),
        *("changed_field=a%00", "changed_field=a&changed_field=b"),
        *(
            "changed_by_associate_id=%00",
            "changed_by_associate_id=x",
            "changed_by_associate_id=1.0",
        ),
        f"changed_by_associate_id={2**63}",
        f"changed_by_associate_id={'9' * 5000}",
        "changed_by_associate_id=%D9%A1",
        "changed_by_associate_id=1&changed_by_associate_id=2",
        *("occurred_at_after=yesterday", "occurred_at_after=%00", "occurred_at_before=2026-02-30"),
        *("occurred_at_before=9999-12-31", "occurred_at_after=0001-01-01", "occurred_at_after=0"),
        "occurred_at_after=9999-12-31T23:59:59-10:00",
        "occurred_at_before=0001-01-01T00:00:00%2B10:00",
        "occurred_at_after=" + "9" * 5000,
        "occurred_at_before=2026-03-03&occurred_at_after=2026-03-04",
        "occurred_at_before=2026-03-03T00:00Z&occurred_at_after=2026-03-03T00:00Z",
        "occurred_at_after=2026-03-03&occurred_at_after=2026-03-04",
    ],
    ids=lambda query: query[:50],
)
def test_what_a_filter_cannot_read_is_named_and_nothing_is_listed(admin_client, query):
    post(body())
    answer = admin_client.get(f"{LIST}?{query}")
    assert listed(answer) == []
    assert answer.context["cl"].result_count == 0
    parameter = query.partition("=")[0]
    [said] = texts(answer)
    assert f"({parameter}): “" in said or "Only one value can be given." in said
    assert len(said) < 200
    html = answer.content.decode()
    if parameter.startswith(("changed_", "occurred_")):
        assert re.search(rf'name="{parameter}"[^>]* aria-invalid="true"', html)
        assert f'<p class="so-problem" id="so-{parameter}-problem">' in html


def test_an_answer_says_nothing_of_a_filter_that_it_can_read(admin_client):
    post(body())
    answer = admin_client.get(LIST, {"changed_by_associate_id": "12", "changed_field": "name"})
    assert listed(answer) == [4711]
    assert texts(answer) == []
    assert "so-problem" not in answer.content.decode()


@pytest.mark.parametrize(
    ("contexts", "asked", "keys"),
    [
        (None, "ORGNR", [4711]),
        (None, "Name", [2]),
        (None, "NAME", [2]),
        (None, "orgN", []),
        (["Cust24680"], "orgNr", [4711]),
        (["Cust24680"], "ORGNR", []),
    ],
)
def test_a_changed_field_is_found_in_another_case_by_who_may_see_all_names(
    admin_client, settings, contexts, asked, keys
):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: contexts,
    }
    post(body())  # name, orgNr
    post(body(Changes=["Name"], PrimaryKey=2))
    answer = admin_client.get(LIST, {"changed_field": asked})
    assert listed(answer) == keys
    assert texts(answer) == []


def test_a_restricted_user_is_offered_what_is_new_to_the_own_tenants(
    admin_client, settings, monkeypatch
):
    monkeypatch.setattr(facets, "NEWEST", 2)
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["A", "B"],
    }
    for context, *entities in (["A", "old", "sale", "contact"], ["B", "person"], ["C", "car"]):
        for day, entity in enumerate(entities, 1):
            stamp = f"2026-03-0{day}T00:00:00Z"
            post(body(Event=f"{entity}.x", Entity=..., ContextIdentifier=context, Timestamp=stamp))
    answer = admin_client.get(LIST)
    assert offered(answer, "entity")[0] == ["All", "contact", "person", "sale"]
    assert offered(answer, "context_identifier")[0] == ["All", "A", "B"]
    assert len(listed(admin_client.get(LIST, {"entity": "old"}))) == 1
