"""The auditor's list of events."""

import re
from html import unescape
from urllib.parse import parse_qsl

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from superoffice_hooks.admin.base import BoundedPaginator
from superoffice_hooks.models import ChangedField, Event
from tests.builders import body, post

LIST = "/admin/superoffice_hooks/event/"
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

pytestmark = pytest.mark.django_db


def listed(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return [event.primary_key for event in answer.context["cl"].result_list]


def cells(html, column):
    """The texts of one column of the list, without their markup."""
    found = re.findall(rf'<t[hd] class="field-{column}[^"]*">(.*?)</t[hd]>', html, re.DOTALL)
    return [re.sub("<.*?>", "", cell) for cell in found]


def texts(answer):
    """The messages above a list."""
    return [str(message) for message in answer.context["messages"]]


class TestTheList:
    def test_shows_the_newest_first_with_what_happened_to_which_record(self, admin_client):
        post(body(PrimaryKey=1))
        post(body(PrimaryKey=2, Timestamp="2026-03-05T00:00:00Z"))
        post(body(PrimaryKey=3, Event="sale.sold", Entity=..., ContextIdentifier="Acme"))
        html = admin_client.get(LIST).content.decode()
        named = [f"{record} Fjordbygg AS" for record in ("contact 2", "sale 3", "contact 1")]
        assert cells(html, "its_record") == named
        assert cells(html, "its_name") == ["contact.changed", "sale.sold", "contact.changed"]
        assert cells(html, "context") == ["Cust24680", "Acme", "Cust24680"]
        assert cells(html, "occurred")[0] == "March 5, 2026, 00:00:00 UTC"
        sold = Event.objects.get(primary_key=3)
        assert re.search(rf'href="/admin/superoffice_hooks/event/{sold.pk}/change/"><time', html)
        record = "/record/?context_identifier=Acme&amp;entity=sale&amp;primary_key=3"
        assert f'<a href="/admin/superoffice_hooks/event{record}">sale 3</a>' in html

    @pytest.mark.parametrize(
        ("told", "title"),
        [
            (None, ""),
            ({"name": "Fjordbygg AS", "heading": "Roof"}, " Fjordbygg AS"),
            ({"heading": "Roof", "header": "Deck"}, " Roof"),
            ({"name": "", "heading": None, "header": "Deck"}, " Deck"),
            ({"name": None}, ""),
            ({"Name": "Fjordbygg AS"}, ""),
            ({"name": "<b>'Tis & %s"}, " <b>'Tis & %s"),
            ({"name": 2021, "heading": {"a": 1}}, ""),
            ({"name": "x" * 300}, " " + "x" * 100),
            ({"name": "invoice\u202efdp.exe\u2066"}, " invoice[U+202E]fdp.exe[U+2066]"),
        ],
        ids=str,
    )
    def test_calls_a_record_what_its_event_calls_it(self, admin_client, told, title):
        post(body(FieldValues=told))
        html = admin_client.get(LIST).content.decode()
        assert [unescape(cell) for cell in cells(html, "its_record")] == [f"contact 4711{title}"]

    @pytest.mark.parametrize(
        ("wire", "text"),
        [
            ({"Changes": ["name", "orgNr"]}, "name, orgNr"),
            ({"Changes": ["updated", "name", "sale_id"]}, "name +2 technical"),
            ({"Changes": ["updated", "updatedCount"]}, "technical only (+2)"),
            ({"Changes": list("abcd")}, "a, b, c, d"),
            ({"Changes": list("abcdefg")}, "a, b, c, d, … +3 more"),
            ({"Changes": [*"abcde", "dbi_x"]}, "a, b, c, d, … +1 more +1 technical"),
            ({"Changes": None}, "-"),
            ({"Changes": None, "Values": {"sale_id": 4711, "contact_id": 9}}, "held contact 9"),
            ({"Changes": None, "Values": {"person_id": "[I:6]"}}, "held person 6"),
            ({"Changes": None, "Values": {"x": 1, "y": 2}}, "held 2 values"),
            ({"Changes": ["a"], "Values": {"x": 1}}, "a held 1 value"),
        ],
        ids=str,
    )
    def test_says_in_a_few_words_what_changed(self, admin_client, wire, text):
        post(body(Event="sale.deleted", Entity="sale", **wire))
        html = admin_client.get(LIST).content.decode()
        assert cells(html, "what_changed") == [text]

    def test_links_the_records_that_a_deleted_row_held(self, admin_client):
        post(body(Event="sale.deleted", Entity="sale", Changes=None, Values={"contact_id": 9}))
        html = admin_client.get(LIST).content.decode()
        assert 'record/?context_identifier=Cust24680&amp;entity=contact&amp;primary_key=9">' in html

    def test_folds_the_fields_that_the_site_calls_technical(self, admin_client, settings):
        own = {"TECHNICAL_FIELDS": {"contact": ["x_sync*"]}}
        settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **own}
        post(body(Changes=["name", "x_sync_at"]))
        html = admin_client.get(LIST).content.decode()
        assert cells(html, "what_changed") == ["name +1 technical"]

    def test_names_who_did_it_and_asks_once_for_each(self, admin_client, settings):
        asked = []

        def name(context, number):
            asked.append((context, number))
            return {12: "Kari Nordmann"}.get(number)

        own = {"ASSOCIATE_NAME": name, "INTEGRATION_USERS": {"Cust24680": [7]}}
        settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **own}
        for place, number in enumerate((12, 7, 0, 12, 12)):
            post(body(ChangedByAssociateId=number, PrimaryKey=place))
        html = admin_client.get(LIST).content.decode()
        kari = "Kari Nordmann #12"
        assert cells(html, "who") == [kari, kari, "the system", "associate 7 integration", kari]
        assert sorted(asked) == [("Cust24680", 7), ("Cust24680", 12)]

    def test_links_who_did_it_to_what_else_they_did(self, admin_client):
        post(body(PrimaryKey=1))
        post(body(PrimaryKey=2, ChangedByAssociateId=13))
        post(body(PrimaryKey=3, ContextIdentifier="Acme"))
        post(body(PrimaryKey=4, Event="sale.sold", Entity=...))
        filters = {"entity": "contact", "changed_field": "name", "q": "1", "o": "0"}
        html = admin_client.get(LIST, filters).content.decode()
        [link] = re.findall(r'field-who"><a href="(.*?)">associate 12', html)
        asked = dict(parse_qsl(unescape(link)[1:]))
        assert asked == {"changed_by_associate_id": "12", "context_identifier": "Cust24680"}
        assert listed(admin_client, **asked) == [4, 1]

    @pytest.fixture
    def three(self):
        post(body(PrimaryKey=1, EventId=GUID, Timestamp="2026-03-01T10:00:00Z"))
        post(body(PrimaryKey=2, Event="sale.sold", Entity=..., ContextIdentifier="Acme"))
        post(body(PrimaryKey=3, Event="status", Entity=..., ContextIdentifier="", Changes=None))

    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            ({}, [3, 2, 1]),
            ({"entity": "sale"}, [2]),
            ({"entity": "Sale"}, []),
            ({"action": "changed"}, [1]),
            ({"action": ""}, [3]),
            ({"action": ["changed", "sold"]}, [2, 1]),
            ({"action": ["changed", "changed", ""]}, [3, 1]),
            ({"context_identifier": "Acme"}, [2]),
            ({"context_identifier": ""}, [3]),
            ({"context_identifier": ["", "Acme"], "entity": ["sale", "contact"]}, [2]),
            ({"entity": "sale", "context_identifier": ""}, []),
            ({"webhook_name": "Audit trail"}, [3, 2, 1]),
            ({"webhook_name": "Audit"}, []),
            ({"changed_by_associate_id": "12"}, [3, 2, 1]),
            ({"changed_by_associate_id": " 12 "}, [3, 2, 1]),
            ({"changed_by_associate_id": "13"}, []),
            ({"changed_by_associate_id": ""}, [3, 2, 1]),
            ({"changed_field": "orgNr"}, [2, 1]),
            ({"changed_field": "orgnr"}, [2, 1]),
            ({"changed_field": "orgn"}, []),
            ({"changed_field": ""}, [3, 2, 1]),
            ({"occurred_at_after": "2026-03-02"}, [3, 2]),
            ({"occurred_at_before": "2026-03-01"}, [1]),
            ({"q": "2"}, [2]),
            ({"q": GUID.upper()}, [1]),
            ({"q": "sale"}, [2]),
            ({"q": "Acme/sale/2"}, [2]),
            ({"q": "2", "entity": "contact"}, []),
            ({"q": "   "}, [3, 2, 1]),
            ({"q": "Fjordbygg AS"}, []),
        ],
        ids=str,
    )
    def test_is_narrowed_by_filters_and_search(self, three, admin_client, query, keys):
        assert listed(admin_client, **query) == keys

    @pytest.mark.parametrize(
        ("term", "text"),
        [
            (GUID, f"Events with the id {GUID}."),
            ("status", "Events named status."),
            ("SALE.SOLD", "Events named sale.sold."),
            ("contact", "Events of the entity contact."),
            ("SOLD", "Events with the action sold."),
            ("acme", "Events of the tenant Acme."),
            ("audit trail", "Events that the webhook Audit trail sent."),
            ("orgnr", "Events that changed the field orgNr."),
            ("99", "Events of every record with the number 99."),
            ("sale:99", "Events of sale 99."),
        ],
    )
    def test_says_how_a_search_was_read(self, three, admin_client, term, text):
        assert texts(admin_client.get(LIST, {"q": term})) == [text]

    @pytest.mark.parametrize("term", ["2", "sale:2", "Acme/sale/2"])
    def test_leads_from_a_search_to_the_one_record_that_it_means(self, three, admin_client, term):
        [said] = texts(admin_client.get(LIST, {"q": term}))
        record = "/record/?context_identifier=Acme&amp;entity=sale&amp;primary_key=2"
        link = f'<a href="/admin/superoffice_hooks/event{record}">sale 2</a>'
        assert said == f"Events of {link} of the tenant Acme."

    def test_says_what_can_be_searched_for_where_a_text_is_not_understood(
        self, three, admin_client
    ):
        answer = admin_client.get(LIST, {"q": "<b>Fjordbygg AS"})
        [said] = texts(answer)
        assert said.startswith("Nothing is found by this text: the trail cannot be searched by")
        assert answer.context["cl"].result_count == 0
        assert texts(admin_client.get(LIST)) == []

    def test_lists_nothing_for_a_null_character(self, three, admin_client):
        answer = admin_client.get(LIST, {"q": "\0"})
        assert texts(answer) == ["Null characters are not allowed."]
        assert answer.context["cl"].result_count == 0

    @pytest.mark.parametrize(
        "query",
        [
            "event_id__regex=(",
            "field_values__a=1",
            "changed_fields__name=x",
            "deliveries__body__contains=x",
            "occurred_at__year=2026",
            "occurred_at__gte=2026-03-01",
            "occurred_at=2026-03-01",
            "primary_key=1",
            "name=contact.changed",
            "entity__in=a,b",
            "entity__exact=contact",
            "received_at_after=2026-03-01",
            "id__in=1",
        ],
    )
    def test_refuses_what_is_not_a_parameter_of_its_filters(self, three, admin_client, query):
        assert admin_client.get(f"{LIST}?{query}").status_code == 400

    @pytest.mark.parametrize(
        "query",
        [
            "q=" + "9" * 5000,
            "p=99999999999999999999",
            "p=x",
            "o=99.-1.x",
            "all=",
            "_facets=True",
            "_to_field=entity",
            "&".join(f"action=a{number}" for number in range(900)),
        ],
        ids=lambda query: query[:40],
    )
    def test_answers_whatever_stands_in_its_url(self, three, admin_client, query):
        answer = admin_client.get(f"{LIST}?{query}", follow=True)
        assert answer.status_code in (200, 400)

    @pytest.mark.parametrize("order", ["1", "-1", "2", "-4.3"])
    def test_is_never_ordered_by_what_has_no_index(self, three, admin_client, order):
        assert listed(admin_client, o=order) == [3, 2, 1]

    def test_can_be_turned_round(self, three, admin_client):
        assert listed(admin_client, o="0") == [1, 2, 3]
        assert listed(admin_client, o="-0") == [3, 2, 1]

    def test_counts_no_further_than_its_limit_and_says_so(self, admin_client, monkeypatch):
        for number in range(4):
            post(body(PrimaryKey=number))
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

    def test_is_gone_through_once_however_little_it_finds(self, three, admin_client):
        def asked(**query):
            return sum("EXISTS" in sql for sql in queries_of(admin_client, query))

        # The ids; their rows, which are asked for by their ids.
        assert asked(changed_field="name") == 2
        assert asked(changed_field="name", action="deleted") == 1


QUERIES = {
    "nothing": ({}, 12),
    "entity": ({"entity": "contact"}, 12),
    "actions": ({"action": ["changed", "deleted"]}, 12),
    "tenant": ({"context_identifier": "Cust24680"}, 12),
    "webhook": ({"webhook_name": "Audit trail"}, 12),
    "associate": ({"changed_by_associate_id": "12"}, 12),
    "changed field": ({"changed_field": "name"}, 12),
    "period": ({"occurred_at_after": "2026-03-01", "occurred_at_before": "2026-03-31"}, 12),
    "oldest first": ({"o": "0"}, 12),
    "second page": ({"p": "2"}, 12),
    "number": ({"q": "4711"}, 14),
    "record": ({"q": "contact:4711"}, 15),
    "word": ({"q": "contact"}, 15),
    "field": ({"q": "orgNr"}, 19),
    "nothing known": ({"q": "Fjordbygg AS"}, 19),
}


def repeat_every_event(later):
    """Store every event again, for another record."""
    quote = connection.ops.quote_name
    own = ("id", "fingerprint")
    columns = [field.column for field in Event._meta.concrete_fields if field.column not in own]
    into = ", ".join(map(quote, columns))
    values = into.replace(quote("primary_key"), f"{quote('primary_key')} + {later}")
    table = quote(Event._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({into}) SELECT {values} FROM {table}")


def queries_of(client, query):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(LIST, query).status_code == 200
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


def test_the_list_costs_the_same_queries_for_60_events_and_for_100_000(admin_client):
    # Session, user, four facets, field names, a bounded number of ids, events, their changed fields
    # and deleted values, what their records are called; a search adds its probes.
    for number in range(60):
        key = number % 7 or 4711
        post(body(PrimaryKey=key, Values={"contact_id": 1}, ChangedByAssociateId=12 + number // 7))
    few = {name: len(queries_of(admin_client, query)) for name, (query, _) in QUERIES.items()}
    for doubling in range(11):
        repeat_every_event(10_000 * 2**doubling)
    assert Event.objects.count() > 100_000
    newest = Event.objects.order_by("-id").values_list("id", flat=True)[:200]
    ChangedField.objects.bulk_create(
        [ChangedField(event_id=pk, position=0, name="name") for pk in newest]
    )
    many = {}
    for name, (query, _) in QUERIES.items():
        made = queries_of(admin_client, query)
        many[name] = len(made)
        # MariaDB's way to jump from value to value for a filter's choices is called DISTINCT.
        read = " ".join(sql for sql in made if " >= ''" not in sql).replace("`", '"')
        for costly in ("DISTINCT", "LIKE", '"properties"'):
            assert costly not in read
        if name == "nothing known":  # nothing is listed
            assert "field_values" not in read
            continue
        [titles] = [sql for sql in made if "field_values" in sql]
        # Of the values only three are taken out, of the events of this page.
        titles = titles.replace("`", '"').replace("\\", "")
        taken = re.findall(r""""field_values"(?: ->>? '|, '[$]\.")(\w+)""", titles)
        assert set(taken) == {"name", "heading", "header"}
        assert len(taken) == titles.count('"field_values"')
        assert '"id" IN (' in titles
        assert all("LIMIT 10000" in sql for sql in made if "COUNT(" in sql)
    assert few == many == {name: count for name, (_, count) in QUERIES.items()}
