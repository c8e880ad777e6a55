"""The auditor's list of events, and the page of one."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from superoffice_hooks.admin.base import BoundedPaginator
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, encode, post

LIST = "/admin/superoffice_hooks/event/"
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

pytestmark = pytest.mark.django_db


def listed(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return [event.primary_key for event in answer.context["cl"].result_list]


def page(client, event=None):
    event = event or Event.objects.get()
    answer = client.get(reverse("admin:superoffice_hooks_event_change", args=[event.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def rows(html):
    """The cells of each row of our tables, without their markup."""
    found = re.findall(r"<tr><th scope=\"row\">.*?</tr>", html, re.DOTALL)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.split("(?<=</t[hd]>)", row)][:-1] for row in found
    ]


class TestThePage:
    def test_shows_what_the_wire_said(self, admin_client):
        wire = body(PrimaryKey=2**60 + 1, Region="North", EventId=GUID)
        post(wire)
        html = page(admin_client)
        for text in (
            *("contact.changed", "1152921504606846977", "Cust24680", "12", "Audit trail", GUID),
            "{&quot;Region&quot;: &quot;North&quot;}",
        ):
            assert f'<div class="readonly">{text}</div>' in html

    def test_names_the_changed_fields_in_the_order_of_the_wire(self, admin_client):
        post(body(Changes=["zeta", "alpha", "mid", "alpha"]))
        assert '<ol class="so-names"><li>zeta</li><li>alpha</li><li>mid</li></ol>' in page(
            admin_client
        )

    def test_shows_values_as_sent_and_decoded(self, admin_client):
        post(
            body(
                Event="y_car.deleted",
                Entity="y_car",
                Changes=None,
                Values={"id": "[I:6]", "price": 1.5, "sold": "0001-01-01T00:00:00", "none": None},
                FieldValues={"made": "[DT:03/02/2026 09:15:27]", "name": "[plain]"},
            )
        )
        values = [row for row in rows(page(admin_client)) if len(row) == 3]
        assert values == [
            ["id", escape('"[I:6]"'), "6"],
            ["none", "null", ""],
            ["price", "1.5", ""],
            ["sold", escape('"0001-01-01T00:00:00"'), "empty"],
            ["made", escape('"[DT:03/02/2026 09:15:27]"'), "2026-03-02 09:15:27"],
            ["name", escape('"[plain]"'), ""],
        ]

    def test_shows_the_body_that_recorded_the_event_and_every_delivery(self, admin_client):
        wire = body()
        post(wire)
        post(wire)
        post(wire | {"Changes": ["another"]})
        html = page(admin_client)
        assert f'<pre class="so-body" tabindex="0">{escape(encode(wire).decode())}</pre>' in html
        assert f"{len(encode(wire))} bytes" in html
        outcomes = [row[1] for row in rows(html) if len(row) == 4]
        assert outcomes == ["recorded", "duplicate", "quarantined"]
        for delivery in Delivery.objects.all():
            assert f'href="/admin/superoffice_hooks/delivery/{delivery.pk}/change/"' in html

    def test_says_how_the_rows_differ_from_the_bytes(self, admin_client):
        post(body(Timestamp="2026-03-02T09:15:27"))
        assert "[&quot;assumed_utc&quot;]" in page(admin_client)

    def test_of_an_event_without_fields_or_evidence_still_opens(self, admin_client):
        post(body(Changes=[], FieldValues=None))
        Delivery.objects.all().delete()
        html = page(admin_client)
        assert "0 bytes" in html
        assert rows(html) == []

    def test_of_three_megabytes_opens_and_shows_the_beginning_of_the_body(self, admin_client):
        post(body(FieldValues={"note": "x" * 3_000_000}))
        html = page(admin_client)
        shown = re.search(r'<pre class="so-body" tabindex="0">(.*?)</pre>', html, re.DOTALL)[1]
        assert 60_000 < len(shown) < 70_000
        assert "Only the beginning is shown." in html

    @pytest.mark.parametrize("pk", ["0", "9" * 30, "9" * 5000, "x", "_00", "-1"])
    def test_of_an_event_that_is_not_there_is_404(self, admin_client, pk):
        assert admin_client.get(f"{LIST}{pk}/change/").status_code == 404


class TestTheList:
    def test_shows_the_newest_first_with_what_changed(self, admin_client):
        post(body(PrimaryKey=1, Changes=list("abcdefgh")))
        changes = ["updated", "contact_id", "name", "updatedCount", "dbi_key"]
        post(body(PrimaryKey=2, Changes=changes, Timestamp="2026-03-05T00:00:00Z"))
        post(body(PrimaryKey=3, Changes=None, Values={"sale_id": 3, "contact_id": 9}))
        html = admin_client.get(LIST).content.decode()
        assert re.findall('field-primary_key">(.*?)<', html) == ["2", "3", "1"]
        assert re.findall('field-what_changed">(.*?)<', html) == [
            "name +4",
            "-",
            "a, b, c, d +4",
        ]

    @pytest.fixture
    def three(self):
        post(body(PrimaryKey=1, EventId=GUID, Timestamp="2026-03-01T10:00:00Z"))
        post(body(PrimaryKey=2, Event="sale.sold", Entity=..., ContextIdentifier="Acme"))
        post(body(PrimaryKey=3, Event="status", Entity=..., ContextIdentifier=""))

    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            ({}, [3, 2, 1]),
            ({"entity": "sale"}, [2]),
            ({"entity": "Sale"}, []),
            ({"action": "changed"}, [1]),
            ({"action": ""}, [3]),
            ({"context_identifier": "Acme"}, [2]),
            ({"context_identifier": ""}, [3]),
            ({"entity": "sale", "context_identifier": ""}, []),
            ({"occurred_at__gte": "2026-03-02 00:00:00+00:00"}, [3, 2]),
            ({"occurred_at__lt": "2026-03-02 00:00:00+00:00"}, [1]),
            ({"q": "2"}, [2]),
            ({"q": GUID.upper()}, [1]),
            ({"q": "sale"}, []),
            ({"q": "2", "entity": "contact"}, []),
        ],
        ids=str,
    )
    def test_is_narrowed_by_filters_and_search(self, three, admin_client, query, keys):
        assert listed(admin_client, **query) == keys

    def test_offers_the_values_that_occur_the_empty_one_too(self, three, admin_client):
        filters = {
            spec.title: [str(choice["display"]) for choice in spec.choices(None or changes)]
            for changes in [admin_client.get(LIST).context["cl"]]
            for spec in changes.filter_specs
        }
        assert filters["entity"] == ["All", "contact", "sale", "status"]
        assert filters["action"] == ["All", "(empty)", "changed", "sold"]
        assert filters["context identifier"] == ["All", "(empty)", "Acme", "Cust24680"]

    def test_links_the_empty_context_identifier_to_its_events(self, three, admin_client):
        html = admin_client.get(LIST).content.decode()
        assert re.search(r'href="\?context_identifier="[^>]*>\s*\(empty\)', html)

    @pytest.mark.parametrize(
        "query",
        [
            "event_id__regex=(",
            "field_values__a=1",
            "changed_fields__name=x",
            "deliveries__body__contains=x",
            "occurred_at__year=2026",
            "primary_key=1",
            "entity__in=a,b",
            "entity=%00",
            "context_identifier=a%00",
            "occurred_at__gte=%00",
            "occurred_at__gte=yesterday",
            "occurred_at__gte=9999-12-31T23:59:59-10:00",
            "occurred_at__lt=0001-01-01T00:00:00%2B10:00",
            "q=%00",
            "q=" + "9" * 5000,
            "p=99999999999999999999",
            "p=x",
            "o=99.-1.x",
            "all=",
            "_facets=True",
            "_to_field=entity",
        ],
        ids=lambda query: query[:40],
    )
    def test_answers_whatever_stands_in_its_url(self, three, admin_client, query):
        answer = admin_client.get(f"{LIST}?{query}", follow=True)
        assert answer.status_code in (200, 400)

    @pytest.mark.parametrize("lookup", ["event_id__regex", "field_values__a", "deliveries__body"])
    def test_refuses_a_lookup_that_is_not_one_of_its_filters(self, three, admin_client, lookup):
        assert admin_client.get(LIST, {lookup: "1"}).status_code == 400

    @pytest.mark.parametrize("order", ["1", "-1", "2", "-4.3"])
    def test_is_never_ordered_by_what_has_no_index(self, three, admin_client, order):
        assert listed(admin_client, o=order) == [3, 2, 1]

    def test_can_be_turned_round(self, three, admin_client):
        assert listed(admin_client, o="0") == [1, 2, 3]
        assert listed(admin_client, o="-0") == [3, 2, 1]

    def test_counts_no_further_than_its_limit_and_says_so(self, admin_client, monkeypatch):
        for _ in range(4):
            post(body())
        monkeypatch.setattr(BoundedPaginator, "limit", 4)
        answer = admin_client.get(LIST)
        assert answer.context["cl"].result_count == 4
        assert "Narrow the list with a filter" in answer.content.decode()
        monkeypatch.setattr(BoundedPaginator, "limit", 3)
        assert admin_client.get(LIST).context["cl"].result_count == 3
        monkeypatch.setattr(BoundedPaginator, "limit", 5)
        answer = admin_client.get(LIST)
        assert answer.context["cl"].result_count == 4
        assert "Narrow the list with a filter" not in answer.content.decode()

    def test_costs_the_same_queries_for_5_and_for_60_events(self, admin_client):
        counts = []
        for more in (5, 55):
            for _ in range(more):
                post(body(Values={"contact_id": 1}))
            with CaptureQueriesContext(connection) as queries:
                admin_client.get(LIST, {"all": ""})
            made = [query["sql"] for query in queries]
            counts.append(len([sql for sql in made if "SAVEPOINT" not in sql]))
        # Session, user, three facets, a bounded count, events, changed fields, deleted values.
        assert counts == [9, 9]
        read = " ".join(made).replace("`", '"')
        for unlisted in ("DISTINCT", '"field_values"', '"properties"'):
            assert unlisted not in read
        assert all("LIMIT 10000" in sql for sql in made if "COUNT(" in sql)


def test_the_page_shows_no_more_than_a_person_can_read(admin_client):
    wire = body(FieldValues={"note": "n" * 10_000})
    for _ in range(102):
        post(wire)
    event = Event.objects.get()
    html = admin_client.get(f"/admin/superoffice_hooks/event/{event.pk}/change/").content.decode()
    assert "n" * 3_999 + "…" in html
    assert len(re.findall(r"/delivery/\d+/change/", html)) == 100


def test_who_may_not_view_deliveries_is_shown_none(client, django_user_model):
    post(body())
    user = django_user_model.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_event"))
    client.force_login(user)
    event = Event.objects.get()
    html = client.get(f"/admin/superoffice_hooks/event/{event.pk}/change/").content.decode()
    assert "/admin/superoffice_hooks/delivery/" not in html
    assert "Fjordbygg AS" in html
