"""The list of deliveries, and the page of one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from superoffice_hooks.admin.base import BoundedPaginator
from superoffice_hooks.models import Delivery, Event
from tests.builders import body, encode, post

LIST = "/admin/superoffice_hooks/delivery/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored(db):
    """One delivery of each outcome that is stored."""
    wire = body()
    post(wire)
    post(wire)
    post(body(Event="test", Entity=...))
    post(b"not JSON \xff")


def listed(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return [delivery.outcome for delivery in answer.context["cl"].result_list]


def page(client, **conditions):
    answer = client.get(f"{LIST}{Delivery.objects.get(**conditions).pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_shows_the_newest_first_with_the_reason_and_the_event(stored, admin_client):
    assert listed(admin_client) == ["quarantined", "test", "duplicate", "recorded"]
    html = admin_client.get(LIST).content.decode()
    assert Delivery.objects.get(outcome="quarantined").reason in html
    link = f'<a href="/admin/superoffice_hooks/event/{Event.objects.get().pk}/change/">'
    assert html.count(f"{link}contact.changed 4711</a>") == 2


@pytest.mark.parametrize("outcome", ["recorded", "duplicate", "test", "quarantined", "refused"])
def test_the_list_is_narrowed_by_outcome(stored, admin_client, outcome):
    expected = [] if outcome == "refused" else [outcome]
    assert listed(admin_client, outcome__exact=outcome) == expected


def test_the_page_shows_the_evidence(admin_client):
    wire = body()
    post(wire, X_SuperOffice_Event="contact.changed", X_Odd="<b>Blåbær</b>")
    html = page(admin_client)
    delivery = Delivery.objects.get()
    for text in ("default", "recorded", delivery.key_id, delivery.signature):
        assert f'<div class="readonly">{escape(text)}</div>' in html
    assert escape(encode(wire).decode()) in html
    assert '<th scope="row">X-Superoffice-Event</th><td><code>contact.changed</code></td>' in html
    assert '<th scope="row">X-Odd</th><td><code>&lt;b&gt;Blåbær&lt;/b&gt;</code></td>' in html
    assert f"/admin/superoffice_hooks/event/{delivery.event_id}/change/" in html


def test_the_page_of_a_quarantined_body_shows_the_reason_and_the_bytes(stored, admin_client):
    html = page(admin_client, outcome="quarantined")
    assert "The body is not UTF-8 (at character 9)" in html
    assert "not JSON \N{REPLACEMENT CHARACTER}</pre>" in html
    assert "10 bytes" in html


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0", b"\xff" * 9, "\ud800".encode("utf-16", "surrogatepass")]
)
def test_the_page_of_any_bytes_opens(admin_client, raw):
    post(raw)
    assert f"{len(raw)} byte" in page(admin_client)


def test_the_page_of_three_megabytes_opens_and_shows_the_beginning(admin_client):
    post(b"<" * 3_000_000)
    html = page(admin_client)
    assert "3000000 bytes" in html.replace(",", "").replace("\xa0", "")
    assert "Only the beginning is shown." in html
    assert html.count("&lt;") == 64 * 1024


@pytest.mark.parametrize("pk", ["0", "9" * 30, "9" * 5000, "x", "-1"])
def test_a_delivery_that_is_not_there_is_404(admin_client, pk):
    assert admin_client.get(f"{LIST}{pk}/change/").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        *("body__contains=x", "headers__a=1", "event__name__regex=(", "signature__startswith=a"),
        *("outcome__exact=%00", "outcome__exact=nonsense", "q=x", "o=0", "o=-3", "p=99", "all="),
    ],
)
def test_the_list_answers_whatever_stands_in_its_url(stored, admin_client, query):
    answer = admin_client.get(f"{LIST}?{query}", follow=True)
    assert answer.status_code == (400 if "__" in query and "nonsense" not in query else 200)


@pytest.mark.parametrize("order", ["0", "1", "2", "-3"])
def test_the_list_is_never_ordered_by_what_has_no_index(stored, admin_client, order):
    assert listed(admin_client, o=order) == ["quarantined", "test", "duplicate", "recorded"]


def test_the_list_counts_no_further_than_its_limit(stored, admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "limit", 3)
    assert admin_client.get(LIST).context["cl"].result_count == 3


def test_the_list_costs_the_same_queries_for_5_and_for_60_deliveries_and_reads_no_body(
    admin_client,
):
    counts = []
    for more in (5, 55):
        for _ in range(more):
            post(body())
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(LIST, {"all": ""})
        made = [query["sql"] for query in queries]
        counts.append(len([sql for sql in made if "SAVEPOINT" not in sql]))
    # Session, user, a bounded count, deliveries with their events.
    assert counts == [4, 4]
    read = " ".join(made).replace("`", '"')
    for unlisted in ("DISTINCT", '"body"', '"headers"', '"field_values"', '"properties"'):
        assert unlisted not in read
    assert all("LIMIT 10000" in sql for sql in made if "COUNT(" in sql)
