"""Who may open the admin's pages, and that nobody can change anything on them."""

import re

import pytest

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event
from tests.builders import body, post

MODELS = ("event", "delivery")

pytestmark = pytest.mark.django_db


def url(model, path=""):
    return f"/admin/superoffice_hooks/{model}/{path}"


def everything():
    models = (Event, ChangedField, DeletedValue, Delivery)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", ["add/", "{pk}/change/", "{pk}/delete/", ""])
def test_nobody_changes_anything(admin_client, model, path):
    post(body(Values={"contact_id": 1}))
    before = everything()
    pk = {"event": Event, "delivery": Delivery}[model].objects.get().pk
    answer = admin_client.post(
        url(model, path.format(pk=pk)),
        {"name": "x", "post": "yes", "action": "delete_selected", "_selected_action": [pk]},
    )
    # A list answers an action that it does not have as it answers none: by the list.
    assert answer.status_code == (403 if path else 302)
    assert everything() == before


@pytest.mark.parametrize("model", MODELS)
def test_no_page_offers_a_change(admin_client, model):
    post(body())
    pk = {"event": Event, "delivery": Delivery}[model].objects.get().pk
    for path in ("", f"{pk}/change/"):
        html = admin_client.get(url(model, path)).content.decode()
        for offer in ('name="_save', "deletelink", "<textarea", f'{model}/add/"'):
            assert offer not in html
        [choice] = re.findall(r'<select name="action".*?</select>', html, re.DOTALL) or [""]
        actions = re.findall(r'value="(\w+)"', choice)
        # Rebuilding gives the rows that the bytes of the delivery tell, and no others.
        offered = ["export_csv", "export_ndjson", *(["rebuild"] if model == "event" else [])]
        assert actions == ([] if path else offered)


@pytest.mark.parametrize("model", MODELS)
def test_the_view_permission_is_enough_and_necessary(login, model):
    post(body())
    client = login(f"view_{model}")
    [other] = set(MODELS) - {model}
    pks = {"event": Event.objects.get().pk, "delivery": Delivery.objects.get().pk}
    for path in ("", f"{pks[model]}/change/"):
        assert client.get(url(model, path)).status_code == 200
    for path in ("", f"{pks[other]}/change/", f"{pks[other]}/history/"):
        assert client.get(url(other, path)).status_code == 403


@pytest.mark.parametrize("path", ["", "1/change/"])
@pytest.mark.parametrize("model", MODELS)
def test_a_visitor_is_sent_to_the_login(client, model, path):
    answer = client.get(url(model, path))
    assert answer.status_code == 302
    assert "/login/?next=/admin/" in answer["Location"]


def test_what_is_outside_the_scope_is_not_there(login, settings):
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
    }
    client = login("view_event", "view_delivery")
    for context in ("Mine", "Theirs"):
        name = f"{context.lower()}.changed"
        post(body(ContextIdentifier=context, Event=name, Entity=..., PrimaryKey=77))
    post(b"not JSON")
    html = client.get(url("event")).content.decode()
    assert "mine 77" in html
    assert "heirs" not in html
    searched = client.get(url("event"), {"q": "77"}).context["cl"]
    assert [event.context_identifier for event in searched.result_list] == ["Mine"]
    asked = client.get(url("event"), {"context_identifier": "Theirs"}).context["cl"]
    assert asked.result_count == 0
    deliveries = client.get(url("delivery")).context["cl"]
    assert [d.event.context_identifier for d in deliveries.result_list] == ["Mine"]
    for event in Event.objects.all():
        status = 200 if event.context_identifier == "Mine" else 404
        for model, pk in (("event", event.pk), ("delivery", event.deliveries.get().pk)):
            for page in ("change", "history"):
                assert client.get(url(model, f"{pk}/{page}/")).status_code == status
    lost = Delivery.objects.get(event=None)
    assert client.get(url("delivery", f"{lost.pk}/change/")).status_code == 404


@pytest.fixture
def mine(login, settings):
    """A user who may see the tenant Mine alone, whose neighbour has the same ids."""
    settings.SUPEROFFICE_HOOKS = {
        **settings.SUPEROFFICE_HOOKS,
        "CONTEXTS_FOR_USER": lambda user: ["Mine"],
        "ASSOCIATE_NAME": lambda context, number: f"{context} {number}",
    }
    post(body(ContextIdentifier="Mine", Timestamp="2026-03-01T00:00:00Z"))
    post(
        body(
            ContextIdentifier="Theirs",
            Event="theircar.theiraction",
            Entity="theircar",
            WebhookName="Their webhook",
            Changes=["theirfield"],
            EventId="0f8fad5b-d9cb-469f-a165-70867728950e",
        )
    )
    return login("view_event")


@pytest.mark.parametrize(
    "query",
    [
        {},
        *({name: "Theirs"} for name in ("entity", "action", "webhook_name", "changed_field")),
        {"context_identifier": ["Theirs", "Theirs2"]},
        {"changed_by_associate_id": "12"},
        {"occurred_at_after": "2026-03-02"},
        *({"q": term} for term in ("4711", "contact:4711", "THEIRS", "theirfields")),
    ],
    ids=str,
)
def test_no_list_filter_or_choice_tells_of_another_tenant(mine, query):
    answer = mine.get(url("event"), query)
    changes = answer.context["cl"]
    assert {event.context_identifier for event in changes.result_list} <= {"Mine"}
    assert changes.result_count <= 1
    html = answer.content.decode()
    for said in [
        value for values in query.values() for value in [values] if isinstance(value, str)
    ]:
        html = html.replace(said, "")
    for text in ("heircar", "heiraction", "heir webhook", "heirfield", "Theirs 12", "<datalist"):
        assert text not in html


@pytest.mark.parametrize(
    "term",
    [
        *("Theirs", "theircar.theiraction", "theircar", "theiraction", "Their webhook"),
        *("theirfield", "THEIRFIELD", "THEIRCAR"),
    ],
)
def test_a_search_does_not_know_the_words_of_another_tenant(mine, term):
    html = mine.get(url("event"), {"q": term}).content.decode()
    assert "Nothing is found by this text" in html


def test_a_search_for_the_event_or_record_of_another_tenant_finds_nothing(mine):
    for term in ("0f8fad5b-d9cb-469f-a165-70867728950e", "theircar:4711", "Theirs/theircar/4711"):
        answer = mine.get(url("event"), {"q": term})
        assert answer.context["cl"].result_count == 0
        assert "/event/record/" not in answer.content.decode()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("query", ["?_to_field=", "?_to_field=id", "?_popup=1", "?_to_field=name"])
def test_no_parameter_of_a_page_is_an_error_of_the_server(admin_client, model, query):
    post(body())
    pk = {"event": Event, "delivery": Delivery}[model].objects.get().pk
    assert admin_client.get(url(model, f"{pk}/change/{query}")).status_code in (200, 400)
