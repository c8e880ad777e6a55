"""The list of deliveries, and the page of one."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from superoffice_hooks.admin.base import BoundedPaginator
from superoffice_hooks.admin.deliveries import OutcomeFilter
from superoffice_hooks.admin.parts import record_url
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.trail.record import Record
from tests.builders import body, encode, inserts, post

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


def see_only(settings, context):
    """Let every user see the events of this tenant and no others."""
    scope = {"CONTEXTS_FOR_USER": lambda user: [context]}
    settings.SUPEROFFICE_HOOKS = {**settings.SUPEROFFICE_HOOKS, **scope}


def listed(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return [delivery.outcome for delivery in answer.context["cl"].result_list]


def page(client, **conditions):
    answer = client.get(f"{LIST}{Delivery.objects.get(**conditions).pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_says_at_a_glance_what_happened(stored, admin_client):
    assert listed(admin_client) == ["quarantined", "test", "duplicate", "recorded"]
    html = admin_client.get(LIST).content.decode()
    for text in (
        "The body is not text: some of its bytes are no UTF-8.",
        "SuperOffice tested the webhook, as it does when one is saved.",
        "The event was in the trail already; it is there once.",
        "It brought a new event.",
    ):
        assert f'<td class="field-in_short">{text}</td>' in html
    event = Event.objects.get()
    links = (
        f'<a href="/admin/superoffice_hooks/event/{event.pk}/change/">contact.changed</a> · '
        f'<a href="{escape(record_url(Record.of(event)))}">contact 4711</a>'
    )
    assert html.count(f'<td class="field-its_links">{links}</td>') == 2


def test_a_reason_of_no_known_kind_is_listed_as_it_is(stored, admin_client):
    Delivery.objects.filter(outcome="quarantined").update(reason="Something else. " * 20)
    html = admin_client.get(LIST).content.decode()
    assert "Something else. Something else." in html
    assert "Something else. " * 13 not in html
    assert "Something else. " * 19 in page(admin_client, outcome="quarantined")


def test_the_list_shows_how_often_a_delivery_was_retried(admin_client):
    for retry in ("0", "3", "minus two, or something else"):
        post(body(), X_SuperOffice_Retry=retry)
    post(body())
    html = admin_client.get(LIST).content.decode()
    shown = re.findall(r'<td class="field-attempt">(.*?)</td>', html)
    assert shown == ["", "minus two, …", "3", ""]


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        ("0", "0: this is the first attempt"),
        ("1", "1: SuperOffice had sent it once before"),
        ("4", "4: SuperOffice had sent it 4 times before"),
        ("minus two", "minus two"),
        ("9" * 5000, "9" * 1024),
    ],
)
def test_the_page_says_how_often_a_delivery_was_retried(admin_client, retry, words):
    post(body(), X_SuperOffice_Retry=retry)
    assert f'<div class="readonly">{words}' in page(admin_client)


# Filters.


@pytest.mark.parametrize("outcome", ["recorded", "duplicate", "test", "quarantined", "refused"])
def test_the_list_is_narrowed_by_outcome(stored, admin_client, outcome):
    expected = [] if outcome == "refused" else [outcome]
    assert listed(admin_client, outcome=outcome) == expected


def test_the_list_is_narrowed_by_several_outcomes(stored, admin_client):
    assert listed(admin_client, outcome=["test", "recorded"]) == ["test", "recorded"]


def offered(client):
    filters = client.get(LIST).context["cl"].filter_specs
    return [choice for one in filters if isinstance(one, OutcomeFilter) for choice in one.labels]


def test_refused_is_offered_once_there_is_one(stored, admin_client):
    can_occur = ["recorded", "duplicate", "test", "quarantined"]
    assert offered(admin_client) == can_occur
    Delivery.objects.filter(outcome="test").update(outcome="refused")
    assert offered(admin_client) == [*can_occur, "refused"]


def test_a_reader_of_some_tenants_is_not_offered_what_is_of_none(stored, admin_client, settings):
    see_only(settings, "Cust24680")
    Delivery.objects.filter(outcome="test").update(outcome="refused")
    assert offered(admin_client) == ["recorded", "duplicate", "quarantined"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"received_at_after": "2026-03-02"}, [3, 2]),
        ({"received_at_before": "2026-03-02"}, [2, 1]),
        ({"received_at_after": "2026-03-02", "received_at_before": "2026-03-02"}, [2]),
        ({"received_at_after": "2026-03-01T12:00:00Z"}, [3, 2, 1]),
        ({"received_at_before": "2026-03-01T12:00:00Z"}, []),
        ({"received_at_after": "2026-03-02", "outcome": "duplicate"}, []),
        ({"received_at_after": "2026-03-02", "outcome": "recorded"}, [3, 2]),
        ({"received_at_after": "yesterday"}, []),
    ],
)
def test_the_list_is_narrowed_by_time(admin_client, query, expected):
    # The last to arrive has the smallest id: a span is in the order of its own index.
    for day in (3, 2, 1):
        post(body(PrimaryKey=day))
        moment = datetime(2026, 3, day, 12, tzinfo=UTC)
        Delivery.objects.filter(event__primary_key=day).update(received_at=moment)
    answer = admin_client.get(LIST, query)
    rows = answer.context["cl"].result_list
    assert [delivery.event.primary_key for delivery in rows] == expected


# The page of one.


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


def test_the_page_of_a_quarantined_body_explains_it_and_marks_the_place(stored, admin_client):
    html = page(admin_client, outcome="quarantined")
    assert "The body is not UTF-8 (at character 9)" in html
    assert "some of its bytes are no UTF-8. Look at the body and at who sent it" in html
    assert 'not JSON <mark id="so-fault">\N{REPLACEMENT CHARACTER}</mark></pre>' in html
    assert "10 bytes" in html


def test_a_body_that_was_recorded_is_laid_out_and_not_marked(stored, admin_client):
    html = page(admin_client, outcome="recorded")
    assert escape('{\n  "EventId": "') in html
    assert "<mark" not in html


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
        *("outcome=%00", "outcome=nonsense", "q=x", "o=0", "o=-3", "p=99", "all="),
    ],
)
def test_the_list_answers_whatever_stands_in_its_url(stored, admin_client, query):
    answer = admin_client.get(f"{LIST}?{query}", follow=True)
    assert answer.status_code == (400 if "__" in query else 200)


@pytest.mark.parametrize("order", ["0", "1", "2", "-3"])
def test_the_list_is_never_ordered_by_what_has_no_index(stored, admin_client, order):
    assert listed(admin_client, o=order) == ["quarantined", "test", "duplicate", "recorded"]


def test_the_list_counts_no_further_than_its_limit(stored, admin_client, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "limit", 3)
    assert admin_client.get(LIST).context["cl"].result_count == 3


def store(number, **columns):
    """Store deliveries of one event, without posting each."""
    first = Delivery.objects.order_by("id")[0]
    Delivery.objects.bulk_create(
        Delivery(
            endpoint="default",
            received_at=first.received_at + timedelta(seconds=count),
            headers=first.headers,
            body=first.body,
            **({"outcome": "duplicate", "event": first.event} | columns),
        )
        for count in range(number)
    )


def queries_of(client, **query):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(LIST, query).status_code == 200
    return [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # Session, user, whether any is refused, whether any is quarantined, a bounded count,
        # deliveries with their events, one header of each.
        ({}, 7),
        ({"outcome": "recorded"}, 7),
        ({"received_at_after": "2020-01-01", "outcome": ["recorded", "duplicate"]}, 7),
    ],
)
def test_the_list_costs_the_same_queries_for_50_and_for_5000_deliveries_and_reads_no_body(
    admin_client, query, expected
):
    post(body(), X_SuperOffice_Retry="1")
    for more in (49, 4950):
        store(more)
        made = queries_of(admin_client, **query)
        assert len(made) == expected
    read = " ".join(made).replace("`", '"')
    for unlisted in ("DISTINCT", '"body"', '"field_values"', '"properties"'):
        assert unlisted not in read
    # Of the headers, one.
    assert read.count('"headers"') == read.count("Superoffice-Retry") > 0
    assert all("headers" not in sql for sql in made if "COUNT(" in sql)
    assert all("LIMIT 10000" in sql for sql in made if "COUNT(" in sql)


def test_with_something_quarantined_the_queries_are_as_many_at_any_size(admin_client):
    post(body())
    for more in (50, 1000):
        store(more, outcome="quarantined", event=None, reason="The body is not JSON")
        assert len(queries_of(admin_client)) == 7


def test_the_page_costs_the_same_queries_however_many_there_are(stored, admin_client):
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, outcome="quarantined")
        counts.append(len([one for one in queries if "SAVEPOINT" not in one["sql"]]))
        store(500)
    # Besides the two of this test: session, user, the delivery.
    assert counts == [3 + 1, 3 + 1]


# Process again.


@pytest.fixture
def lost(settings):
    """Three deliveries of a tenant that the endpoint did not take, and now takes, and others."""
    endpoint = {"SECRETS": [settings.SECRET], "CONTEXTS": ["Another"]}
    settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": endpoint}}
    url = "/superoffice/webhook/acme/"
    again = body(PrimaryKey=3)
    for wire in (body(PrimaryKey=1), body(PrimaryKey=2), again, again, b"<x>", b"<y>"):
        post(wire, url=url)
    post(body(ContextIdentifier="Another"), url=url)
    endpoint["CONTEXTS"].append("Cust24680")


BOTH = ("view_delivery", "reprocess_delivery")


def process(client, delivery, **extra):
    return client.post(f"{LIST}{delivery.pk}/process-again/", follow=True, **extra)


def choose(client, deliveries, **extra):
    data = {"action": "process_again", "_selected_action": [one.pk for one in deliveries]}
    return client.post(LIST, data | extra, follow=True)


def told(answer):
    return [(message.level_tag, message.message) for message in answer.context["messages"]]


def outcomes():
    return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))


def test_the_button_processes_the_delivery_again(lost, login):
    client, delivery = login(*BOTH), Delivery.objects.earliest("id")
    html = page(client, pk=delivery.pk)
    form = html[html.index('<form method="post" id="delivery_form"') :]
    assert re.search(
        rf'<button type="submit"[^>]* formaction="{LIST}{delivery.pk}/process-again/"', form
    )
    # Of its own the form sends no more than the token.
    assert re.findall(r'<input [^>]*name="(\w+)"', form) == ["csrfmiddlewaretoken"]

    answer = process(client, delivery)
    assert answer.redirect_chain == [(f"{LIST}{delivery.pk}/change/", 302)]
    assert told(answer) == [("success", "1 delivery was recorded.")]
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.event.primary_key) == ("recorded", 1)
    assert re.match(r"Processed again at \S+Z by olga; before: ContextId", delivery.reason)
    html = answer.content.decode()
    assert "process-again" not in html
    assert escape(delivery.reason) in html
    assert "It was quarantined when it arrived, and processed again later." in html

    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("olga", str(delivery.pk))
    assert entry.change_message == "Processed again: recorded."


def test_what_is_still_unusable_says_why(lost, login):
    client, delivery = login(*BOTH), Delivery.objects.get(body=b"<x>")
    reason = delivery.reason
    answer = process(client, delivery)
    meaning = "The body is not JSON, which is how SuperOffice writes events."
    assert told(answer) == [("warning", f"1 delivery is still quarantined: {meaning}")]
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.reason) == ("quarantined", reason)
    assert "process-again" in answer.content.decode()
    assert LogEntry.objects.get().change_message == "Processed again: quarantined."


def test_what_is_not_quarantined_has_no_button_and_is_left_as_it_is(stored, admin_client):
    before = list(Delivery.objects.values())
    for outcome in ("recorded", "duplicate", "test"):
        assert "process-again" not in page(admin_client, outcome=outcome)
        answer = process(admin_client, Delivery.objects.get(outcome=outcome))
        assert told(answer) == [("warning", "Nothing was processed: none of it is quarantined.")]
    assert list(Delivery.objects.values()) == before
    assert not LogEntry.objects.exists()


def test_the_action_processes_what_is_selected(lost, login):
    client = login(*BOTH)
    assert 'value="process_again"' in client.get(LIST).content.decode()
    answer = choose(client, Delivery.objects.all())
    assert told(answer) == [
        ("success", "1 delivery repeats an event that is in the trail already."),
        ("success", "3 deliveries were recorded."),
        (
            "warning",
            "2 deliveries are still quarantined: "
            "The body is not JSON, which is how SuperOffice writes events.",
        ),
    ]
    again = ["recorded", "recorded", "recorded", "duplicate", "quarantined", "quarantined"]
    assert outcomes() == [*again, "recorded"]
    assert LogEntry.objects.count() == 6


def test_what_turns_out_to_be_a_test_says_so(lost, login):
    deliveries = Delivery.objects.filter(body__in=[b"<x>", b"<y>"])
    chosen = list(deliveries)
    deliveries.update(body=encode(body(Event="test")))
    answer = choose(login(*BOTH), chosen)
    assert told(answer) == [("success", "2 deliveries were tests.")]


def test_the_action_processes_no_more_than_what_is_selected(lost, login):
    second = Delivery.objects.order_by("id")[1]
    answer = choose(login(*BOTH), [second])
    assert told(answer) == [("success", "1 delivery was recorded.")]
    assert Event.objects.filter(context_identifier="Cust24680").get().primary_key == 2


def test_the_action_for_the_whole_list_keeps_to_its_filter_and_to_a_number(
    lost, login, monkeypatch
):
    monkeypatch.setattr("superoffice_hooks.admin.deliveries.MAX_AT_ONCE", 2)
    client = login(*BOTH)
    answer = client.post(
        f"{LIST}?outcome=quarantined",
        {"action": "process_again", "_selected_action": ["1"], "select_across": "1"},
        follow=True,
    )
    assert told(answer) == [
        ("success", "2 deliveries were recorded."),
        ("warning", "Only the oldest 2 were processed. Choose the action again for the others."),
    ]
    assert outcomes() == ["recorded"] * 2 + ["quarantined"] * 4 + ["recorded"]


def test_many_reasons_are_not_many_messages(lost, login):
    raws = [b"<", b"< ", b"[]", b"\xff", b"{}", b"[" * 40, b"\x1f\x8b", b'{"Event": 1}']
    for raw in raws:
        post(raw, url="/superoffice/webhook/acme/")
    messages = told(choose(login(*BOTH), Delivery.objects.filter(body__in=raws)))
    assert len(messages) == 5 + 1
    # What is wrong in the same way at another place is told once.
    assert messages[0] == (
        "warning",
        "2 deliveries are still quarantined: "
        "The body is not JSON, which is how SuperOffice writes events.",
    )
    assert messages[-1] == ("warning", "2 other deliveries are quarantined.")


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({}, "There is no endpoint 'acme' any more."),
        (
            {"ENDPOINTS": {"acme": {"SECRETS": "x"}}},
            'SUPEROFFICE_HOOKS["ENDPOINTS"]["acme"]["SECRETS"] must be a list of strings.',
        ),
    ],
)
def test_where_the_settings_do_not_allow_it_they_are_named(lost, login, settings, setting, reason):
    settings.SUPEROFFICE_HOOKS = setting
    before = list(Delivery.objects.values())
    answer = process(login(*BOTH), Delivery.objects.earliest("id"))
    assert told(answer) == [("error", f"1 delivery was left as it is: {reason}")]
    assert list(Delivery.objects.values()) == before
    assert not LogEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_where_the_database_does_not_take_it_nothing_is_changed(lost, login):
    def execute(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_event"):
            raise OperationalError("disk full: secret words")
        return run(sql, params, many, context)

    client, before = login(*BOTH), list(Delivery.objects.values())
    with connection.execute_wrapper(execute):
        answer = process(client, Delivery.objects.earliest("id"))
    assert told(answer) == [
        ("error", "1 delivery was left as it is: The database could not take it.")
    ]
    assert list(Delivery.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_each_is_committed_on_its_own_whatever_atomic_requests_says(lost, login):
    assert connection.settings_dict["ATOMIC_REQUESTS"] is True
    seen = []

    def receiver(**kwargs):
        seen.append(transaction.get_connection().in_atomic_block)

    client = login(*BOTH)
    event_recorded.connect(receiver)
    try:
        process(client, Delivery.objects.earliest("id"))
        choose(client, Delivery.objects.all())
    finally:
        event_recorded.disconnect(receiver)
    assert seen == [False] * 3


@pytest.mark.parametrize("codenames", [(), ("view_delivery",), ("reprocess_delivery",)], ids=str)
def test_nobody_without_both_permissions_processes_anything(lost, login, codenames):
    client, delivery = login(*codenames), Delivery.objects.earliest("id")
    before = list(Delivery.objects.values())
    assert process(client, delivery).status_code == 403
    assert process(client, Delivery(pk=9**9)).status_code == 403
    answer = choose(client, [delivery])
    if "view_delivery" in codenames:
        assert "process-again" not in page(client, pk=delivery.pk)
        assert "Process again" not in client.get(LIST).content.decode()
        assert answer.status_code == 200
    else:
        assert answer.status_code == 403
    assert list(Delivery.objects.values()) == before
    assert not Event.objects.filter(context_identifier="Cust24680").exists()


def test_what_is_outside_the_scope_cannot_be_processed(lost, login, settings):
    see_only(settings, "Another")
    client, delivery = login(*BOTH), Delivery.objects.earliest("id")
    before = list(Delivery.objects.values())
    assert process(client, delivery).status_code == 404
    assert choose(client, [delivery]).status_code == 200
    assert "Process again" not in client.get(LIST).content.decode()
    assert list(Delivery.objects.values()) == before


@pytest.mark.parametrize("pk", ["0", "9" * 30, "x", "-1", "%00", "1/2"])
def test_a_delivery_that_is_not_there_cannot_be_processed(lost, admin_client, pk):
    assert admin_client.post(f"{LIST}{pk}/process-again/").status_code == 404


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch", "options"])
def test_only_a_post_processes(lost, admin_client, method):
    delivery = Delivery.objects.earliest("id")
    answer = getattr(admin_client, method)(f"{LIST}{delivery.pk}/process-again/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert outcomes()[0] == "quarantined"


def test_only_a_form_of_ours_processes(lost, admin_user):
    client, delivery = Client(enforce_csrf_checks=True), Delivery.objects.earliest("id")
    client.force_login(admin_user)
    assert process(client, delivery).status_code == 403
    assert outcomes()[0] == "quarantined"
    token = re.search(r'name="csrfmiddlewaretoken" value="(.*?)"', page(client, pk=delivery.pk))[1]
    answer = client.post(
        f"{LIST}{delivery.pk}/process-again/", {"csrfmiddlewaretoken": token}, follow=True
    )
    assert told(answer) == [("success", "1 delivery was recorded.")]


def test_a_visitor_is_sent_to_the_login(lost, client):
    answer = client.post(f"{LIST}{Delivery.objects.earliest('id').pk}/process-again/")
    assert answer.status_code == 302
    assert "/login/?next=" in answer["Location"]
    assert outcomes()[0] == "quarantined"


def test_a_superuser_still_edits_nothing(lost, admin_client):
    delivery = Delivery.objects.earliest("id")
    before = list(Delivery.objects.values())
    for path in ("add/", f"{delivery.pk}/change/", f"{delivery.pk}/delete/"):
        data = {"outcome": "recorded", "reason": "x", "post": "yes"}
        assert admin_client.post(f"{LIST}{path}", data).status_code == 403
    choose(admin_client, [delivery], action="delete_selected")
    assert list(Delivery.objects.values()) == before
    html = page(admin_client, pk=delivery.pk)
    for offer in ('name="_save', "deletelink", "<textarea", "<select"):
        assert offer not in html


def test_an_action_of_the_whole_site_is_not_offered(lost, admin_client, monkeypatch):
    monkeypatch.setitem(admin.site._actions, "wipe", lambda *args: 1 / 0)
    html = admin_client.get(LIST).content.decode()
    assert 'value="process_again"' in html
    assert 'value="wipe"' not in html
    choose(admin_client, Delivery.objects.all(), action="wipe")


@pytest.mark.parametrize("selected", ["x", "\0", "9" * 20, "1; DROP TABLE", ""])
def test_a_selection_that_no_check_box_made_is_refused(lost, login, selected):
    client, before = login(*BOTH), list(Delivery.objects.values())
    data = {"action": "process_again", "_selected_action": selected}
    assert client.post(LIST, data).status_code == 400
    assert list(Delivery.objects.values()) == before


# Verify again.

THEIRS = "what-superoffice-had-0123456789-abcdefgh"


@pytest.fixture
def refused(settings):
    """Three deliveries that another secret signed, which the settings now have, and others."""
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [settings.SECRET]}
    for key in (1, 2, 3):
        assert post(body(PrimaryKey=key), secret=THEIRS).status_code == 401
    post(body(PrimaryKey=4), secret="a-third-secret-0123456789-abcdefghijkl")
    post(body(PrimaryKey=5), signature="")
    post(b"<x>", secret=THEIRS)
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [THEIRS]}


def verify(client, delivery, **extra):
    return client.post(f"{LIST}{delivery.pk}/verify-again/", follow=True, **extra)


def test_the_page_of_a_refused_delivery_says_that_the_secrets_differ(refused, admin_client):
    html = page(admin_client, pk=Delivery.objects.earliest("id").pk)
    assert "If SuperOffice sent it, the secret there and the one in the settings differ." in html
    assert "verify-again/" in html
    assert "process-again/" not in html
    assert "This delivery can never be verified." in page(admin_client, signature="")


def test_the_button_verifies_the_delivery_again(refused, login):
    client, delivery = login(*BOTH), Delivery.objects.earliest("id")
    html = page(client, pk=delivery.pk)
    form = html[html.index('<form method="post" id="delivery_form"') :]
    assert re.search(
        rf'<button type="submit"[^>]* formaction="{LIST}{delivery.pk}/verify-again/"', form
    )
    answer = verify(client, delivery)
    assert answer.redirect_chain == [(f"{LIST}{delivery.pk}/change/", 302)]
    assert told(answer) == [("success", "1 delivery was recorded.")]
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.event.primary_key) == ("recorded", 1)
    assert re.match(r"Verified again at \S+Z by olga; before: The signature", delivery.reason)
    html = answer.content.decode()
    assert "verify-again" not in html
    assert "It was refused when it arrived, and verified later by the right secret." in html
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("olga", str(delivery.pk))
    assert entry.change_message == "Verified again: recorded."


def test_the_action_verifies_what_is_selected(refused, login):
    client = login(*BOTH)
    assert 'value="verify_again"' in client.get(LIST).content.decode()
    answer = choose(client, Delivery.objects.all(), action="verify_again")
    assert told(answer) == [
        ("success", "3 deliveries were recorded."),
        (
            "warning",
            "1 delivery is genuine, and quarantined: "
            "The body is not JSON, which is how SuperOffice writes events.",
        ),
        ("error", "1 delivery was left as it is: Its signature fits no secret of this endpoint."),
        (
            "error",
            "1 delivery was left as it is: "
            "It carries no signature, so that nothing proves who sent it.",
        ),
    ]
    assert outcomes() == ["recorded"] * 3 + ["refused"] * 2 + ["quarantined"]
    assert LogEntry.objects.count() == 4


def test_several_that_are_genuine_and_unusable_are_told_as_one(refused, login):
    Delivery.objects.exclude(body=b"<x>").delete()
    first = Delivery.objects.get()
    first.pk = None
    first.save(force_insert=True)
    answer = choose(login(*BOTH), Delivery.objects.all(), action="verify_again")
    [(level, text)] = told(answer)
    assert (level, text.startswith("2 deliveries are genuine, and quarantined: ")) == (
        "warning",
        True,
    )


@pytest.mark.parametrize(
    ("again", "outcome", "nothing"),
    [
        ("process", "refused", "Nothing was processed: none of it is quarantined."),
        ("verify", "quarantined", "Nothing was verified: none of it is refused."),
    ],
)
def test_neither_button_takes_what_is_the_others(refused, admin_client, again, outcome, nothing):
    delivery = Delivery.objects.earliest("id")
    Delivery.objects.update(outcome=outcome)
    answer = admin_client.post(f"{LIST}{delivery.pk}/{again}-again/", follow=True)
    assert told(answer) == [("warning", nothing)]
    answer = choose(admin_client, [delivery], action=f"{again}_again")
    assert not Event.objects.exists()
    assert set(outcomes()) == {outcome}


@pytest.mark.parametrize("codenames", [(), ("view_delivery",), ("reprocess_delivery",)], ids=str)
def test_nobody_without_both_permissions_verifies_anything(refused, login, codenames):
    client, delivery = login(*codenames), Delivery.objects.earliest("id")
    before = list(Delivery.objects.values())
    assert verify(client, delivery).status_code == 403
    choose(client, [delivery], action="verify_again")
    assert list(Delivery.objects.values()) == before
    if "view_delivery" in codenames:
        assert "erify again" not in page(client, pk=delivery.pk)
        assert 'value="verify_again"' not in client.get(LIST).content.decode()


def test_a_reader_of_some_tenants_meets_nothing_refused(refused, login, settings):
    see_only(settings, "Cust24680")
    client, delivery = login(*BOTH), Delivery.objects.earliest("id")
    assert verify(client, delivery).status_code == 404
    assert 'value="verify_again"' not in client.get(LIST).content.decode()
    choose(client, [delivery], action="verify_again")
    assert set(outcomes()) == {"refused"}


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch", "options"])
def test_only_a_post_verifies(refused, admin_client, method):
    delivery = Delivery.objects.earliest("id")
    answer = getattr(admin_client, method)(f"{LIST}{delivery.pk}/verify-again/")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_delivery_that_is_gone_meanwhile_is_named(refused, login, monkeypatch):
    client, delivery = login(*BOTH), Delivery.objects.earliest("id")

    def trimmed(self, request, object_id, from_field=None):
        Delivery.objects.exclude(pk=Delivery.objects.latest("id").pk).delete()
        return delivery

    monkeypatch.setattr("superoffice_hooks.admin.deliveries.DeliveryAdmin.get_object", trimmed)
    answer = client.post(f"{LIST}{delivery.pk}/verify-again/")
    assert answer.status_code == 302
    assert not Event.objects.exists()
