"""The page of one event."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils.html import escape

from superoffice_hooks.models import Delivery, Event
from tests.builders import body, encode, post

QUERIES = 15
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

pytestmark = pytest.mark.django_db


def page(client, event=None):
    event = event or Event.objects.get()
    answer = client.get(reverse("admin:superoffice_hooks_event_change", args=[event.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    """What is read of a piece of markup."""
    return " ".join(re.sub("<.*?>", " ", html).split())


def facts(html):
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.DOTALL)
    return {text(name): text(value) for name, value in found}


def rows(html):
    """The cells of each row of our tables, without their markup."""
    found = re.findall(r"<tr><th scope=\"row\">.*?</tr>", html, re.DOTALL)
    return [
        [text(cell) for cell in re.split("(?<=</t[hd]>)", row.replace("\n", ""))][:-1]
        for row in found
    ]


def test_shows_what_the_wire_said(admin_client, settings):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {
        "ASSOCIATE_NAME": lambda context, associate: f"Anna of {context}",
        "INTEGRATION_USERS": {"Cust24680": [12]},
        "RECORD_URLS": {"*": "https://crm.example.com/{entity}/{primary_key}"},
    }
    post(body(PrimaryKey=2**60 + 1, EventId=GUID))
    html = page(admin_client)
    shown = facts(html)
    assert shown["Record"] == "contact 1152921504606846977 · Open in SuperOffice"
    assert 'href="https://crm.example.com/contact/1152921504606846977"' in html
    assert shown["Event"] == "contact.changed (changed)"
    assert shown["Who"] == "Anna of Cust24680 #12 integration"
    assert shown["Occurred at"] == "March 2, 2026, 09:15:27 UTC"
    assert shown["Context identifier"] == "Cust24680"
    assert shown["Webhook"] == "Audit trail"
    assert shown["Event id"] == GUID
    assert 'title="2026-03-02 09:15:27.123456 UTC"' in html


def test_leads_to_its_record(admin_client):
    post(body())
    html = page(admin_client)
    found = re.search(r'<a href="([^"]*/record/[^"]*)">contact 4711</a>', html)[1]
    assert admin_client.get(found.replace("&amp;", "&")).status_code == 200


def test_shows_before_and_after_from_the_records_previous_snapshot(admin_client):
    post(body(Timestamp="2026-03-01T00:00:00Z"))
    post(body(Changes=["name", "updated"], FieldValues={"name": "Fjordbygg Nord AS"}))
    event = Event.objects.get(occurred_at__day=2)
    html = page(admin_client, event)
    assert rows(html)[:2] == [
        ["name", "Fjordbygg AS", "Fjordbygg Nord AS"],
        [
            "updated",
            "not known the event of March 1, 2026, 00:00:00 UTC changed it, "
            "and its value was not sent",
            "value not sent by SuperOffice",
        ],
    ]
    told = reverse("admin:superoffice_hooks_event_change", args=[Event.objects.earliest("id").pk])
    assert f'derived from the event of <a href="{told}">' in html
    assert "+1 technical" in text(html)


def test_shows_a_gap_just_before_it(admin_client):
    post(body(Timestamp="2026-03-01T00:00:00Z"))
    post(body(Changes=["updated"], FieldValues={"name": "Fjordbygg Nord AS"}))
    html = page(admin_client, Event.objects.get(occurred_at__day=2))
    assert "no event in the trail named their fields" in text(html)
    assert ["name", "Fjordbygg AS", "Fjordbygg Nord AS"] in [row[:3] for row in rows(html)]


def test_names_the_changed_fields_in_the_order_of_the_wire(admin_client):
    post(body(Changes=["zeta", "alpha", "mid", "alpha"], FieldValues=None))
    assert [row[0] for row in rows(page(admin_client))[:3]] == ["zeta", "alpha", "mid"]


def test_shows_values_as_sent_and_decoded(admin_client):
    post(
        body(
            Event="y_car.deleted",
            Entity="y_car",
            Changes=None,
            Region="North",
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
        ["Region", escape('"North"'), ""],
    ]


def test_shows_what_turns_the_text_round_as_what_it_is(admin_client):
    post(
        body(
            Event="y_car.deleted",
            Entity="y_car",
            Changes=["name"],
            Values={"note": "a\u202eb"},
            FieldValues={"name": "gpj.\u202eexe", "x\u2067": "[S:\u200f]"},
            Region="\u2066North",
        )
    )
    html = page(admin_client).partition("<h2>Body")[0]
    for shown in ("a[U+202E]b", "gpj.[U+202E]exe", "x[U+2067]", "[U+2066]North"):
        assert shown in html
    assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", html)


def test_says_that_an_event_may_have_moved_values_itself_only_where_it_names_no_fields(
    admin_client,
):
    sentence = "Or this event, which names no fields, moved them itself."
    said = []
    for hours, changes in enumerate([["name"], ["updated"], [], ["orgNr"]]):
        stamp = f"2026-03-02T0{hours}:00:00Z"
        post(body(Timestamp=stamp, Changes=changes, FieldValues={"name": str(hours)}))
        event = Event.objects.latest("id")
        html = text(page(admin_client, event))
        said.append(("values moved" in html, sentence in html))
    assert said == [(False, False), (True, False), (True, True), (True, False)]


def test_shows_the_body_that_recorded_the_event_and_every_delivery(admin_client):
    wire = body()
    post(wire)
    post(wire)
    post(wire | {"Changes": ["another"]})
    html = page(admin_client)
    assert escape(encode(wire).decode()) in html
    assert f"{len(encode(wire))} bytes" in html
    outcomes = [row[1] for row in rows(html) if len(row) == 4]
    assert outcomes == ["recorded", "duplicate", "quarantined"]
    for delivery in Delivery.objects.all():
        assert f'href="/admin/superoffice_hooks/delivery/{delivery.pk}/change/"' in html


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Timestamp": "2026-03-02T09:15:27"}, "The timestamp had no offset"),
        ({"WebhookName": "a\0b"}, "shown by a visible substitute"),
        ({"Changes": [f"f{number}" for number in range(2_001)]}, "the body holds the rest"),
    ],
)
def test_says_in_words_how_the_rows_differ_from_the_bytes(admin_client, changes, sentence):
    post(body(**changes))
    assert sentence in page(admin_client)


def test_of_an_event_without_fields_or_evidence_still_opens(admin_client):
    post(body(Changes=[], FieldValues=None))
    Delivery.objects.all().delete()
    html = page(admin_client)
    assert "The event names no changed fields." in html
    assert "0 bytes" in html
    assert rows(html) == []


def test_of_three_megabytes_opens_and_shows_the_beginning_of_the_body(admin_client):
    post(body(FieldValues={"note": "x" * 3_000_000}))
    html = page(admin_client)
    shown = re.search(r'<pre class="so-body".*?>(.*?)</pre>', html, re.DOTALL)[1]
    assert 60_000 < len(shown) < 70_000


@pytest.mark.parametrize("pk", ["0", "9" * 30, "9" * 5000, "x", "_00", "-1"])
def test_of_an_event_that_is_not_there_is_404(admin_client, pk):
    address = f"/admin/superoffice_hooks/event/{pk}/change/"
    assert admin_client.get(address).status_code == 404


def test_shows_no_more_than_a_person_can_read(admin_client):
    wire = body(FieldValues={"note": "n" * 10_000})
    for _ in range(102):
        post(wire)
    html = page(admin_client)
    assert "n" * 3_999 + "…" in html
    assert len(re.findall(r"/delivery/\d+/change/", html)) == 100


def test_who_may_not_view_deliveries_is_shown_none(client, django_user_model):
    post(body())
    user = django_user_model.objects.create_user("auditor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_event"))
    client.force_login(user)
    html = page(client)
    assert "/admin/superoffice_hooks/delivery/" not in html
    assert "Fjordbygg AS" in html


def test_costs_the_same_queries_however_long_the_history_is(
    admin_client, django_assert_num_queries
):
    post(body(Timestamp="2026-03-01T00:00:00Z"))
    post(body())
    event = Event.objects.latest("occurred_at")
    page(admin_client, event)  # Django remembers its content types from then on
    with django_assert_num_queries(QUERIES):
        page(admin_client, event)
    for number in range(60):
        post(body(Timestamp=f"2026-02-01T00:00:{number:02}Z"))
    with django_assert_num_queries(QUERIES):
        page(admin_client, event)
