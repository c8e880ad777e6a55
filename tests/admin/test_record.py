"""The pages of one record: its timeline, its dossier, and what happened around it."""

import itertools
import re
from html import unescape
from html.parser import HTMLParser

import hypothesis
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import strategies as st

from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from tests.builders import body, post
from tests.trail.histories import store, told, wire_time

RECORD = {"context_identifier": "Cust24680", "entity": "contact", "primary_key": "4711"}
VIEWS = ("record", "related")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&</td></li>"

pytestmark = pytest.mark.django_db


def url(view="record"):
    return f"/admin/superoffice_hooks/event/{view}/"


def page(client, view="record", **query):
    answer = client.get(url(view), RECORD | query)
    assert answer.status_code == 200
    return answer.content.decode()


def deliver(hours=1.0, action="changed", told=None, changes=(), entity="contact", **more):
    """Post an event, and return it."""
    wire = {
        "Timestamp": wire_time(hours),
        "Event": f"{entity}.{action}",
        "Entity": entity,
        "Changes": list(changes),
        "FieldValues": told,
    }
    assert post(body(**(wire | more))).content == b"recorded\n"
    return Event.objects.latest("id")


def text(html):
    """What a reader reads, in one line."""
    return " ".join(unescape(re.sub("<.*?>", " ", html, flags=re.DOTALL)).split())


def items(html):
    """The entries, gaps and outages of the timeline, from top to bottom."""
    return re.findall(r'<li class="so-(?:entry|gap)".*?</li>', html, re.DOTALL)


def rows(html):
    """The cells of each row of our tables, without the small print."""
    html = re.sub("<small>.*?</small>", "", html, flags=re.DOTALL)
    return [
        [text(cell) for cell in re.findall(r"<t[hd](?: scope=\"row\")?>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r'<tr><th scope="row">.*?</tr>', html, re.DOTALL)
    ]


def link(event):
    return f'<a href="/admin/superoffice_hooks/event/{event.pk}/change/"><time datetime='


class TestChanges:
    def test_are_shown_from_before_to_after_with_the_event_that_told_it(self, admin_client):
        first = deliver(1, told={"name": "Old", "orgNr": "1"})
        deliver(2, told={"name": "New", "orgNr": "1"}, changes=["name"])
        renamed, _ = items(page(admin_client))
        assert rows(renamed) == [["name", "Old", "New"]]
        assert f"Before: derived from the event of {link(first)}" in renamed

    def test_of_several_sources_name_each(self, admin_client):
        sources = [deliver(1, told={"name": "A"}), deliver(2, told={"orgNr": "1"})]
        deliver(3, told={"name": "B", "orgNr": "2"}, changes=["name", "orgNr"])
        changed = items(page(admin_client))[0]
        assert rows(changed) == [["name", "A", "B"], ["orgNr", "1", "2"]]
        assert re.findall(r"<small>derived from the event of (.*?datetime=)", changed) == [
            link(source) for source in sources
        ]

    def test_say_what_is_not_known_and_why(self, admin_client):
        untold = deliver(1, changes=["name"])
        deliver(2, told={"name": "B", "orgNr": "2"}, changes=["name", "orgNr"])
        changed, first = items(page(admin_client))
        assert rows(changed) == [["name", "not known", "B"], ["orgNr", "not known", "2"]]
        assert f"the event of {link(untold)}" in changed
        assert "and its value was not sent" in text(changed)
        assert "first sight: no earlier event tells it" in text(changed)
        assert rows(first) == [["name", "not known", "value not sent by SuperOffice"]]

    def test_behind_two_hundred_events_are_not_called_first_sight(self, admin_client):
        store(*(told(hour, "edited") for hour in range(400)))
        deliver(900, told={"name": "New"}, changes=["name"])
        [newest, *_] = items(page(admin_client))
        assert "not told in the 200 events before" in text(newest)

    def test_of_a_created_event_are_what_it_was_created_with(self, admin_client):
        deliver(1, "created", told={"name": "A", "updatedCount": 0}, changes=["name", "phone"])
        [born] = items(page(admin_client))
        assert rows(born) == [["name", "A"]]
        assert "Value not sent by SuperOffice: phone" in text(born)

    def test_decode_what_was_sent_and_show_the_empty_date_as_empty(self, admin_client):
        deliver(1, told={"price": "[M:5.00]", "made": "0001-01-01T00:00:00", "n": "[I:1]"})
        deliver(
            2,
            told={"price": "[M:7.50]", "made": "[DT:02/27/2026 13:05:09.0000000]", "n": 1},
            changes=["price", "made", "n"],
        )
        changed = items(page(admin_client))[0]
        assert rows(changed) == [
            ["price", "5.00", "7.50"],
            ["made", "empty", "Feb. 27, 2026, 13:05:09"],
            ["n", "1", "1"],
        ]
        assert "<small>the same value</small>" in changed

    def test_link_ids_to_the_records_of_the_same_tenant(self, admin_client):
        deliver(1, told={"person_id": 88, "contact_id": 4711}, ContextIdentifier="Cust 1&")
        deliver(2, told={"person_id": 89}, changes=["person_id"], ContextIdentifier="Cust 1&")
        changed = items(page(admin_client, context_identifier="Cust 1&"))[0]
        assert rows(changed) == [["person_id", "person 88", "person 89"]]
        for key in (88, 89):
            assert (
                f'<a href="{url()}?context_identifier=Cust+1%26&amp;entity=person'
                f'&amp;primary_key={key}">person {key}</a>' in changed
            )

    def test_of_a_relation_link_its_ends(self, admin_client):
        ends = {"source_table": 5, "destination_table": 6, "destination_record": 88}
        deliver(1, entity="relation", told=ends | {"source_record": 1201})
        deliver(
            2, entity="relation", told=ends | {"source_record": 1202}, changes=["source_record"]
        )
        html = page(admin_client, entity="relation")
        assert rows(items(html)[0]) == [["source_record", "contact 1201", "contact 1202"]]
        assert ["destination_record", "person 88"] in rows(html)

    def test_that_superoffice_keeps_are_folded(self, admin_client):
        first = deliver(1, told={"name": "A", "updatedCount": 1})
        deliver(
            2,
            told={"name": "B", "updatedCount": 2},
            changes=["updated", "updatedCount", "name", "contact_id"],
        )
        deliver(3, told={"updatedCount": 3}, changes=["updatedCount"])
        only, changed, _ = items(page(admin_client))
        told_rows, folded = changed.split("<details")
        assert rows(told_rows) == [["name", "A", "B"]]
        assert "+3 technical" in text(folded)
        assert [row[0] for row in rows(folded)] == ["updated", "updatedCount", "contact_id"]
        assert f"derived from the event of {link(first)}" in folded
        assert "technical only" not in text(changed)
        assert "+1 technical technical only" in text(only)
        assert rows(only) == [["updatedCount", "2", "3"]]
        assert "derived from the event of" in only

    def test_are_folded_by_the_setting(self, admin_client, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "TECHNICAL_FIELDS": {"contact": ["number*"], "*": []},
        }
        deliver(changes=["number1", "updated"])
        [entry] = items(page(admin_client))
        assert "+1 technical" in text(entry)
        assert [row[0] for row in rows(entry)] == ["updated", "number1"]


class TestGaps:
    def test_a_value_that_moved_though_no_event_named_it(self, admin_client):
        since = deliver(1, told={"name": "A", "category_idx": 1})
        until = deliver(2, told={"name": "B", "category_idx": 2}, changes=["name"])
        _, gap, _ = items(page(admin_client))
        assert text(gap).startswith("Gap Between the event of")
        assert "no event in the trail named their fields. An event is probably missing." in (
            text(gap)
        )
        assert gap.index(link(since)) < gap.index(link(until))
        assert rows(gap) == [["category_idx", "1", "2"]]

    def test_a_value_that_an_event_without_names_may_have_moved_itself(self, admin_client):
        sentence = "Or this event, which names no fields, moved them itself."
        for hours, changes in enumerate([["name"], ["updated"], [], ["orgNr"]]):
            deliver(hours, told={"name": str(hours)}, changes=changes)
        gaps = [text(item) for item in items(page(admin_client)) if "so-gap" in item]
        assert [sentence in gap for gap in gaps] == [False, True, False]
        assert all("An event is probably missing." in gap for gap in gaps)

    def test_anything_after_a_delete(self, admin_client):
        gone = deliver(1, "deleted")
        deliver(2)
        _, gap, _ = items(page(admin_client))
        assert "The record was deleted for good by the event of" in text(gap)
        assert link(gone) in gap

    def test_anything_after_a_soft_delete(self, admin_client):
        gone = deliver(1, "softdeleted")
        deliver(2, told={"name": "A"})
        _, gap, _ = items(page(admin_client))
        assert "no event tells that it was brought back, and yet something" in text(gap)
        assert link(gone) in gap

    def test_a_change_before_the_record_was_created(self, admin_client):
        deliver(1)
        deliver(2, "created")
        _, _, gap = items(page(admin_client))
        assert "this event comes before any that tells of its creation" in text(gap)

    @pytest.mark.parametrize("started", [True, False])
    def test_a_time_when_the_webhook_was_off(self, admin_client, started):
        webhook = {"entity": "webhook7", "PrimaryKey": 7, "WebhookName": "CRM & trail"}
        deliver(1)
        stopped = deliver(2, "errors", **webhook)
        if started:
            deliver(3, "started", **webhook)
        deliver(2, "errors", **webhook, ContextIdentifier="Cust1")
        deliver(4)
        _, off, _ = items(page(admin_client))
        said = text(off)
        assert said.startswith("Webhook off The webhook CRM & trail")
        assert ("no event tells that it was started again" in said) is not started
        assert ("What changed in this time may be missing" in said) is started
        assert link(stopped) in off

    def test_where_there_is_none_no_completeness_is_claimed(self, admin_client):
        deliver()
        said = text(page(admin_client))
        assert "Where there is none, something may still be missing." in said
        assert "The trail of this tenant begins on March 2, 2026." in said
        assert "the record may be older" in said


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["name", "orgNr", "phone"]), st.sampled_from("ABC")),
        st.sampled_from(["all", "name", "none"]),
        st.booleans(),  # whether its delivery is lost
    ),
    min_size=1,
    max_size=8,
)
keys = itertools.count(1_000_000)


@hypothesis.settings(
    max_examples=15,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
@hypothesis.given(STEPS, st.randoms(use_true_random=False))
def test_the_page_shows_what_a_replay_of_the_deliveries_gives(admin_client, steps, chance):
    key = next(keys)
    state, deliveries = dict.fromkeys(["name", "orgNr", "phone"], "-"), []
    for hour, (new, telling, is_lost) in enumerate(steps):
        changes = [field for field in new if state[field] != new[field]]
        state = state | new
        values = {"all": dict(state), "name": {"name": state["name"]}, "none": None}[telling]
        if not is_lost:
            deliveries.append((hour, changes, values))
    if not deliveries:
        assert admin_client.get(url(), RECORD | {"primary_key": key}).status_code == 404
        return
    for hour, changes, values in chance.sample(deliveries, len(deliveries)):
        deliver(hour, told=values, changes=[*changes, "updated"], PrimaryKey=key)
    expected, known = [], {}
    for _, changes, values in deliveries:
        values = values or {}
        moved = [
            [field, known[field], value]
            for field, value in sorted(values.items())
            if field not in changes and known.get(field, value) != value
        ]
        if moved:
            expected.append(("gap", moved))
        told = [
            [
                field,
                known.get(field, "not known"),
                values.get(field, "value not sent by SuperOffice"),
            ]
            for field in changes
        ]
        expected.append(("entry", told))
        known = {field: value for field, value in known.items() if field not in changes} | values
    shown = [
        (
            "gap" if "so-gap" in item else "entry",
            sorted(rows(item)) if "so-gap" in item else rows(item.partition("<details")[0]),
        )
        for item in items(page(admin_client, primary_key=key))
    ]
    assert shown[::-1] == expected


def test_a_lost_event_that_moved_a_value_is_marked(admin_client):
    state = {"name": "A", "orgNr": "1"}
    deliver(1, told=state)
    # Lost: the name becomes B.
    deliver(3, told={"name": "B", "orgNr": "2"}, changes=["orgNr"])
    assert [rows(item) for item in items(page(admin_client))] == [
        [["orgNr", "1", "2"]],
        [["name", "A", "B"]],
        [],
    ]


class TestTheDossier:
    def test_of_a_record_that_lives_is_not_there(self, admin_client):
        deliver(1, "created", told={"name": "A"})
        html = page(admin_client)
        assert "so-dossier" not in html
        assert "Last known values" in html

    def test_tells_who_deleted_it_what_it_held_and_what_came_after(self, admin_client, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "ASSOCIATE_NAME": lambda context, number: {21: "Kari", 22: "Ola"}.get(number),
        }
        last = deliver(1, told={"name": "Last", "person_id": 88})
        deliver(2, "softdeleted", ChangedByAssociateId=21)
        deliver(3, told={"deleted": 0}, changes=["deleted"], ChangedByAssociateId=22)
        deliver(4, "softdeleted", told={"name": "In the bin"}, ChangedByAssociateId=0)
        deliver(
            *(5, "deleted"),
            Values={"contact_id": 4711, "person_id": 89, "project_id": "[I:5]"},
            ChangedByAssociateId=23,
        )
        deliver(6, told={"name": "Late"}, ChangedByAssociateId=21)
        html = page(admin_client)
        [dossier] = re.findall(r'<section class="so-dossier".*?</section>', html, re.DOTALL)
        said = text(dossier)
        assert "This record was deleted" in said
        for step in (
            "soft-deleted by Kari",
            "brought back by Ola",
            "soft-deleted by the system",
            "deleted for good by associate 23",
        ):
            assert step in said
        assert rows(dossier) == [
            ["contact_id", "4711"],
            ["person_id", "person 89"],
            ["project_id", "project 5"],
            ["name", "In the bin"],
        ]
        assert re.search("What came after .* changed by Kari", said)
        assert link(last) not in dossier
        assert "Last known values" not in html.replace(dossier, "")

    def test_of_a_record_in_the_bin_and_of_one_that_came_back(self, admin_client):
        deliver(1, "softdeleted")
        assert "This record is in the bin" in page(admin_client)
        deliver(2, told={"deleted": 0, "name": "Back"}, changes=["deleted"])
        deliver(3, told={"name": "Today"})
        html = page(admin_client)
        assert "This record was in the bin" in html
        assert "What came after" not in html
        assert ["name", "Today"] in rows(html)

    def test_of_a_record_without_any_values(self, admin_client):
        deliver(1, "deleted")
        html = page(admin_client)
        assert "This record was deleted" in html
        assert "Last known values" not in html
        assert "Nothing that the trail holds." in html

    def test_lists_the_first_events_after_it_and_says_how_many_more(self, admin_client):
        store(told(0, "deleted"), *(told(hour) for hour in range(1, 31)))
        html = page(admin_client)
        [dossier] = re.findall(r'<section class="so-dossier".*?</section>', html, re.DOTALL)
        assert dossier.count("<li>") == 1 + 20
        assert "and 10 more events in the timeline" in dossier


class TestWhoAndWhere:
    def test_names_people_and_marks_programs(self, admin_client, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "ASSOCIATE_NAME": lambda context, number: f"{HOSTILE} {number} of {context}",
            "INTEGRATION_USERS": {"Cust24680": [7]},
        }
        for hours, number in enumerate([7, 8, 0]):
            deliver(hours, ChangedByAssociateId=number)
        system, person, program = items(page(admin_client))
        assert "by the system" in text(system)
        assert text(person).endswith("8 of Cust24680 #8")
        assert text(program).endswith("7 of Cust24680 #7 integration")
        assert "<script" not in person + program

    def test_names_the_associates_in_values(self, admin_client, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "ASSOCIATE_NAME": lambda context, number: {21: "Kari", 22: "Ola"}.get(number),
        }
        deliver(1, told={"associate_id": 21})
        deliver(2, told={"associate_id": 22}, changes=["associate_id"])
        html = page(admin_client)
        assert rows(items(html)[0]) == [["associate_id", "Kari #21", "Ola #22"]]
        assert "entity=associate&amp;primary_key=22" in html
        assert ["associate_id", "Ola #22"] in rows(html)  # the last known values
        deliver(3, "deleted", Values={"associate_id": 21, "our_contact_associate_id": 23})
        html = page(admin_client)
        assert ["associate_id", "Kari #21"] in rows(items(html)[0])
        [dossier] = re.findall(r'<section class="so-dossier".*?</section>', html, re.DOTALL)
        assert ["associate_id", "Kari #21"] in rows(dossier)
        assert ["associate_id", "Ola #22"] in rows(dossier)

    def test_an_associate_leads_to_what_they_changed(self, admin_client):
        query = {"entity": "associate", "primary_key": "12", "context_identifier": "Cust 1&"}
        theirs = {"ContextIdentifier": "Cust 1&", "PrimaryKey": 1}
        deliver(1, told={"associate_id": 12}, ChangedByAssociateId=13, **theirs)
        mine = [deliver(2, **theirs), deliver(3, entity="sale", **theirs)]
        deliver(4)  # the associate 12 of another tenant
        for view in VIEWS:
            html = page(admin_client, view, **query)
            [deeds] = re.findall('<a href="([^"]*)">What this associate changed</a>', html)
            found = admin_client.get(unescape(deeds)).context["cl"].result_list
            assert list(found) == mine[::-1]
        deliver(5, told={"person_id": 12})
        html = page(admin_client, entity="person", primary_key=12)
        assert "What this associate changed" not in html

    @pytest.mark.parametrize("view", VIEWS)
    def test_a_label_turns_no_text_round(self, admin_client, view):
        deliver(told={"name": "exe\u202egpj\u2069"})
        deliver(entity="sale", told={"contact_id": 4711, "heading": "a\u202eb"})
        html = page(admin_client, view)
        assert "<title>contact 4711 · exe[U+202E]gpj[U+2069]" in html
        assert ("<q>a[U+202E]b</q>" in html) is (view == "related")
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", html)

    def test_shows_moments_in_the_readers_zone(self, admin_client):
        deliver(1)
        with timezone.override("Europe/Oslo"):
            assert ">March 2, 2026, 11:00:00 CET</time>" in page(admin_client)

    @pytest.mark.parametrize("view", VIEWS)
    def test_links_to_the_record_in_superoffice(self, admin_client, settings, view):
        deliver()
        assert "Open in SuperOffice" not in page(admin_client, view)
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "RECORD_URLS": {"contact": "https://crm.example/{context_identifier}?c={primary_key}"},
        }
        assert (
            '<a href="https://crm.example/Cust24680?c=4711" rel="noreferrer">'
            "Open in SuperOffice</a>" in page(admin_client, view)
        )

    def test_is_called_by_its_name(self, admin_client):
        deliver(told={"name": f"Fjordbygg {HOSTILE}"})
        html = page(admin_client)
        assert "<title>contact 4711 · Fjordbygg &lt;script&gt;" in html

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize(
        ("context", "entity", "key"),
        [
            ("", "contact", 4711),
            ("Cust 1/ø?&#", "list.x/y z", 0),
            ("Cust1", "y_bil_æøå", -(2**63)),
            ("Cust1", HOSTILE, 2**63 - 1),
        ],
        ids=["on-site", "odd", "smallest", "hostile"],
    )
    def test_any_record_that_can_be_stored_has_its_pages(
        self, admin_client, view, context, entity, key
    ):
        deliver(entity=entity, PrimaryKey=key, ContextIdentifier=context)
        query = {"context_identifier": context, "entity": entity, "primary_key": key}
        answer = admin_client.get(url(view), query)
        assert answer.status_code == 200
        assert f"{entity} {key}" in text(answer.content.decode()) or entity == HOSTILE
        for target in re.findall(r'href="([^"]*)"', answer.content.decode()):
            assert "<" not in target

    def test_leads_to_its_events_in_the_list(self, admin_client):
        deliver(1, ContextIdentifier="Cust 1&", told={"name": "A"})
        deliver(2, ContextIdentifier="Cust1")
        html = page(admin_client, context_identifier="Cust 1&")
        [listed] = re.findall(r'<a href="([^"]*)">Its events in the list</a>', html)
        found = admin_client.get(unescape(listed)).context["cl"].result_list
        assert [event.context_identifier for event in found] == ["Cust 1&"]


class TestPages:
    def test_of_a_long_story_hold_each_event_once(self, admin_client):
        store(*(told(hour // 70, values={"name": hour}) for hour in range(160)))
        html, found = page(admin_client), []
        for _ in range(10):
            found += re.findall(r'id="event-(\d+)"', html)
            assert ('rel="next"' in html) is (len(found) < 160)
            if len(found) >= 160:
                break
            [older] = re.findall(r'<a href="([^"]*)" rel="next">', html)
            html = admin_client.get(unescape(older)).content.decode()
            assert '">Newest</a>' in html
        expected = Event.objects.order_by("-occurred_at", "-id").values_list("pk", flat=True)
        assert found == [str(pk) for pk in expected]

    def test_of_what_is_related_keep_to_the_chosen_entity(self, admin_client):
        for number in range(53):
            deliver(1, entity="person", PrimaryKey=number, told={"contact_id": 4711})
        deliver(2, entity="sale", told={"contact_id": 4711})
        html = page(admin_client, "related", of="person")
        assert len(items(html)) == 50
        [older] = re.findall(r'<a href="([^"]*)" rel="next">', html)
        html = admin_client.get(unescape(older)).content.decode()
        assert len(items(html)) == 3
        assert "sale" not in text("".join(items(html)))
        [newest] = re.findall(r'<a href="([^"]*)">Newest</a>', html)
        assert len(items(admin_client.get(unescape(newest)).content.decode())) == 50

    def test_of_what_is_related_say_which_event_names_the_record_and_where(self, admin_client):
        event = deliver(
            *(1, "created"),
            told={"contact_id": 4711, "heading": "Roof"},
            changes=["heading", "updated"],
            entity="sale",
            PrimaryKey=3,
        )
        html = page(admin_client, "related")
        [item] = items(html)
        assert link(event) in item
        assert f'{url()}?context_identifier=Cust24680&amp;entity=sale&amp;primary_key=3"' in item
        assert text(item).endswith("Roof by associate 12 names this record in contact_id")
        assert re.search(r'of=sale">sale</a>', html)

    @pytest.mark.parametrize(
        ("ends", "tied"),
        [
            ((5, 4711, 6, 88), "person 88"),
            ((6, 88, 5, 4711), "person 88"),
            ((5, 4711, 5, 12), "contact 12"),
            ((5, 4711, 5, 4711), None),  # to itself
            ((5, 4711, 9_999, 88), None),  # a table that is not known
            ((5, 4711, 6, 0), None),
            ((5, 4711, 6, None), None),
        ],
    )
    def test_of_what_is_related_say_to_whom_a_relation_ties_it(self, admin_client, ends, tied):
        names = ("source_table", "source_record", "destination_table", "destination_record")
        relation = dict(zip(names, ends, strict=True))
        deliver(entity="relation", PrimaryKey=9, told=relation)
        [item] = items(page(admin_client, "related"))
        assert ("ties it to" in item) is (tied is not None)
        if tied:
            entity, key = tied.split()
            assert f"(ties it to {tied})" in text(item).replace(" )", ")")
            assert f'entity={entity}&amp;primary_key={key}">{tied}</a>)' in item

    def test_of_what_is_related_tie_nothing_where_the_event_is_no_relation(self, admin_client):
        deliver(entity="sale", told={"contact_id": 4711, "person_id": 88})
        assert "ties it to" not in page(admin_client, "related")

    def test_of_what_is_related_of_a_record_that_is_only_named(self, admin_client):
        deliver(told={"person_id": 88})
        query = {"entity": "person", "primary_key": 88}
        assert len(items(page(admin_client, "related", **query))) == 1
        for view in VIEWS:
            html = page(admin_client, view, **query)
            assert "The trail holds no event of this record itself" in html
            assert len(items(html)) == 1
            assert "Its events in the list" not in html
            assert ">Timeline</a>" not in html
        for nobody in ({"primary_key": 89}, {"context_identifier": "Cust1"}):
            for view in VIEWS:
                assert admin_client.get(url(view), RECORD | query | nobody).status_code == 404

    def test_of_what_is_related_say_so_where_there_is_nothing(self, admin_client):
        deliver()
        assert "The trail knows of none." in page(admin_client, "related")


class TestWhatStandsInTheUrl:
    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize(
        "key",
        [
            *("", "x", "4711x", "4711.0", "0x10", " 4711", "4711\n", "4_711", "+4711", "--1"),
            *("\0", "4711\0", "\u0664\u0667\u0661\u0661", "\uff14\uff17\uff11\uff11", "²"),
            *(str(2**63), str(-(2**63) - 1), "9" * 21, "9" * 5000, "1e3", "NaN"),
        ],
        ids=lambda key: repr(key[:25]),
    )
    def test_what_is_no_key_is_no_record(self, admin_client, view, key):
        deliver()
        assert admin_client.get(url(view), RECORD | {"primary_key": key}).status_code == 404

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize("name", RECORD)
    def test_a_record_is_named_whole(self, admin_client, view, name):
        deliver()
        named = {key: value for key, value in RECORD.items() if key != name}
        assert admin_client.get(url(view), named).status_code == 404
        assert admin_client.get(url(view)).status_code == 404

    @pytest.mark.parametrize("view", VIEWS)
    @pytest.mark.parametrize(
        "more",
        [
            {"entity": "x" * 10_000},
            {"context_identifier": "x" * 10_000},
            {"entity": "contact\0"},
            {"context_identifier": "Cust24680\0"},
            {"entity": "Contact"},
            {"entity": "contact "},
            {"context_identifier": "cust24680"},
            {"entity": "\ud800".encode("utf-8", "surrogatepass")},
            {"entity": "' OR 1=1 --"},
            *(
                {"before": before}
                for before in (
                    *("", "x", "\0", "9" * 5000, "2026-03-02", "2026-03-02T09:00:00_1"),
                    "2026-03-02T09:00:00+00:00:00.5_1",
                    "2026-03-02T09:00:00Z_\0",
                    "2026-03-02T09:00:00Z_" + "9" * 19,
                    "2026-03-02T09:00:00Z_\u0661",
                    "0001-01-01T00:00:00Z_1",
                    "9999-12-31T23:59:59Z_1",
                    "1e999_1",
                )
            ),
        ],
        ids=lambda more: repr(more)[:50],
    )
    def test_what_is_not_there_is_404(self, admin_client, view, more):
        deliver()
        assert admin_client.get(url(view), RECORD | more).status_code == 404

    @pytest.mark.parametrize("of", ["x" * 10_000, "", "contact", HOSTILE])
    def test_an_entity_that_names_nothing_is_an_empty_list(self, admin_client, of):
        deliver(entity="person", told={"contact_id": 4711})
        assert items(page(admin_client, "related", of=of)) == []
        assert admin_client.get(url("related"), RECORD | {"of": "\0"}).status_code == 404

    @pytest.mark.parametrize("place", ["1001-01-01T00:00:00", "9998-12-31T23:59:59.999999"])
    def test_every_place_in_the_calendar_is_one(self, admin_client, place):
        deliver()
        deliver(entity="person", told={"contact_id": 4711})
        before = f"{place}Z_{10**18 - 1}"
        found = len(items(page(admin_client, "related", before=before)))
        answer = admin_client.get(url(), RECORD | {"before": before}, follow=True)
        events = len(re.findall('id="event-', answer.content.decode()))
        assert (found, events) == ((0, 1) if place < "2" else (1, 1))


@pytest.mark.parametrize("view", VIEWS)
class TestAccess:
    def test_a_visitor_is_sent_to_the_login(self, client, view):
        deliver()
        answer = client.get(url(view), RECORD)
        assert answer.status_code == 302
        assert "/login/?next=/admin/" in answer["Location"]

    def test_a_user_of_the_site_is_sent_to_the_login(self, client, view, django_user_model):
        client.force_login(django_user_model.objects.create_user("reader"))
        assert client.get(url(view), RECORD).status_code == 302

    def test_the_permission_to_view_events_is_enough_and_necessary(self, login, view):
        deliver()
        client = login("view_delivery", "view_changedfield", "view_relatedrecord")
        assert client.get(url(view), RECORD).status_code == 403
        assert client.get(url(view)).status_code == 403
        assert client.get(url(view), RECORD | {"primary_key": "1"}).status_code == 403

    def test_an_auditor_needs_no_more(self, login, view):
        deliver()
        assert login("view_event").get(url(view), RECORD).status_code == 200

    def test_what_is_outside_the_scope_is_not_there(self, login, view, settings):
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "CONTEXTS_FOR_USER": lambda user: ["Mine"],
        }
        client = login("view_event")
        for context in ("Mine", "Theirs"):
            deliver(ContextIdentifier=context)
            deliver(entity="person", told={"contact_id": 4711}, ContextIdentifier=context)
        found = {
            context: client.get(url(view), RECORD | {"context_identifier": context}).status_code
            for context in ("Mine", "Theirs", "", "mine")
        }
        assert found == {"Mine": 200, "Theirs": 404, "": 404, "mine": 404}
        html = page(client, view, context_identifier="Mine")
        assert "heirs" not in html

    def test_nothing_is_changed_by_posting(self, admin_client, view):
        deliver(told={"contact_id": 1})
        models = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
        before = [list(model.objects.order_by("pk").values()) for model in models]
        for method in (admin_client.post, admin_client.put, admin_client.delete):
            answer = method(f"{url(view)}?{'&'.join(map('='.join, RECORD.items()))}")
            assert answer.status_code in (200, 405)
        assert [list(model.objects.order_by("pk").values()) for model in models] == before


def multiply(offset):
    """Copy every event of the keys from 10,000 on to the key that is so much greater."""
    quote = connection.ops.quote_name
    table = quote(Event._meta.db_table)
    columns = [quote(field.column) for field in Event._meta.fields if not field.unique]
    copied = [f"{name} + {offset}" if name == quote("primary_key") else name for name in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(copied)} "
            f"FROM {table} WHERE primary_key >= 10000"
        )


class TestQueries:
    def queries(self, client, view="record", **query):
        with CaptureQueriesContext(connection) as made:
            page(client, view, **query)
        return [one["sql"] for one in made if "SAVEPOINT" not in one["sql"]]

    def counts(self, client, **query):
        return [len(self.queries(client, view, **query)) for view in VIEWS]

    def test_are_as_many_for_a_hundred_events_and_a_hundred_thousand(self, admin_client):
        for hours in range(3):
            deliver(hours, told={"name": str(hours)}, changes=["name"])
            deliver(hours, entity="person", told={"contact_id": 4711})
        store(*(told(0, primary_key=key) for key in range(10_000, 10_100)))
        counts = [self.counts(admin_client)]
        for doubled in range(10):
            multiply(100 * 2**doubled)
        assert Event.objects.count() > 100_000
        counts.append(self.counts(admin_client))
        # Session and user. Then the timeline's seven: events with their changed fields and deleted
        # values, their twins, milestones, when the trail began, which webhooks there are; or the
        # entities and the events that name the record, with their changed fields and deleted
        # values, and the record's own newest events.
        assert counts == [[2 + 7, 2 + 6]] * 2

    def test_are_as_many_for_a_record_of_two_thousand_events(self, admin_client):
        store(*(told(hour, values={"name": hour}, changes=["name"]) for hour in range(2_000)))
        deliver(entity="person", told={"contact_id": 4711})
        assert self.counts(admin_client) == [2 + 7, 2 + 6]

    def test_of_a_deleted_record_are_as_many_for_three_events_and_for_hundreds(self, admin_client):
        counts = []
        for key, amount in ((1, 3), (2, 900)):
            store(
                told(0, "softdeleted", primary_key=key),
                *(told(hour, primary_key=key, values={"name": hour}) for hour in range(1, amount)),
            )
            counts.append(len(self.queries(admin_client, primary_key=key)))
        # Milestones have rows of their own, the dossier reads once more, and of the many events
        # those after the soft delete are asked whether one brought it back.
        assert counts == [2 + 7 + 2 + 4, 2 + 7 + 2 + 4 + 3]

    def test_never_count_or_sort_out_what_is_there(self, admin_client):
        deliver()
        made = self.queries(admin_client) + self.queries(admin_client, "related")
        for sql in made:
            for costly in ("COUNT(", '"properties"', "`properties`"):
                assert costly not in sql
            # Of a webhook's own events there are few.
            assert "DISTINCT" not in sql or "'webhook'" in sql


class Markup(HTMLParser):
    """Finds what is not closed, ids that are there twice, and what a strict policy would refuse."""

    void = frozenset(("meta", "link", "img", "input", "br", "hr", "path", "use", "circle"))

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.faults = [], [], []
        self.feed(html)
        self.close()
        self.faults += self.open
        self.faults += sorted({one for one in self.ids if self.ids.count(one) > 1})

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        if "style" in given or any(name.startswith("on") for name in given):
            self.faults.append(self.get_starttag_text())
        if tag == "style" or (tag == "script" and "src" not in given):
            self.faults.append(self.get_starttag_text())
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")


class TestMarkup:
    @pytest.fixture(autouse=True)
    def stored(self, settings):
        """A record of everything: changes, gaps, outages, a deletion, hostile text throughout."""
        settings.SUPEROFFICE_HOOKS = {
            **settings.SUPEROFFICE_HOOKS,
            "ASSOCIATE_NAME": lambda context, number: HOSTILE,
            "INTEGRATION_USERS": {HOSTILE: [12]},
            "RECORD_URLS": {"*": "https://crm.example/{context_identifier}/{entity}"},
        }
        theirs = {"ContextIdentifier": HOSTILE, "WebhookName": HOSTILE}
        ours = theirs | {"entity": HOSTILE}
        values = {HOSTILE: HOSTILE, "name": HOSTILE, "x": 1, "contact_id": 7}
        deliver(0, told=values, changes=[HOSTILE, "name", "phone"], **ours)
        deliver(1, "created", told=values, changes=[HOSTILE, "phone"], **ours)
        deliver(
            2, HOSTILE, told=values | {"name": "B", "x": 2}, changes=["name", "updated"], **ours
        )
        deliver(2, "errors", **(theirs | {"entity": "webhook7", "PrimaryKey": 7}))
        deliver(3, "softdeleted", told=values | {"y": {HOSTILE: [HOSTILE]}}, **ours)
        deliver(4, told={"deleted": 0}, changes=["deleted"], **ours)
        deliver(5, "deleted", Values={HOSTILE: HOSTILE, "contact_id": 7}, **ours)
        deliver(6, changes=[HOSTILE], **ours)
        deliver(7, changes=["updated"], **ours)
        deliver(8, entity=HOSTILE, PrimaryKey=1, told={"contact_id": 7}, **theirs)

    @pytest.mark.parametrize(
        ("view", "query"),
        [
            ("record", {"entity": HOSTILE}),
            ("related", {"entity": "contact", "primary_key": 7}),
            ("related", {"entity": "contact", "primary_key": 7, "of": HOSTILE}),
            ("related", {"entity": HOSTILE}),
        ],
    )
    def test_is_well_formed_and_runs_nothing(self, admin_client, view, query):
        html = page(admin_client, view, **({"context_identifier": HOSTILE} | query))
        # Django's own page; what is between is ours.
        assert Markup(html).faults == []
        assert "&lt;script&gt;alert(1)" in html
        assert "<script>alert" not in html
        assert "<img src=x" not in html

    def test_has_the_same_ids_in_every_language(self, admin_client, settings):
        settings.USE_THOUSAND_SEPARATOR = True
        store(*(told(hour) for hour in range(2_000)))
        html = page(admin_client)
        newest = Event.objects.latest("occurred_at", "id")
        assert newest.pk > 1_000
        assert f'id="event-{newest.pk}"' in html

    def test_shows_the_first_hundred_fields_of_an_event_and_where_the_others_are(
        self, admin_client
    ):
        wire = body(Changes=[f"f{number:03}" for number in range(150)], FieldValues=None)
        post(wire)
        html = page(admin_client)
        assert "f099" in html
        assert "f100" not in html
        event = Event.objects.latest("id")
        link = f'<a href="/admin/superoffice_hooks/event/{event.pk}/change/">50 more fields on'
        assert link in html
        assert "f149" in admin_client.get(link.split('"')[1]).content.decode()


@pytest.mark.parametrize(
    "values",
    [
        {"note": "x" * 3_000_000},
        {"picture": "[B:" + "QUJD" * 500_000 + "]"},
        {f"field{number}": number for number in range(20_000)},
        {"deep": [[[[[[{}]]]]]] * 10_000},
    ],
    ids=["text", "bytes", "fields", "list"],
)
def test_values_of_megabytes_cost_no_page(admin_client, values):
    for hours in range(3):
        deliver(hours, told=values | {"n": hours}, changes=[*list(values)[:5], "n"])
    assert len(page(admin_client)) < 5_000_000


def test_a_place_before_everything_leads_to_the_newest_page(admin_client):
    deliver()
    query = RECORD | {"before": "1999-01-01T00:00:00Z_1"}
    answer = admin_client.get(url(), query)
    assert answer.status_code == 302
    assert "before" not in answer["Location"]
    assert items(admin_client.get(answer["Location"]).content.decode())


def test_an_associate_has_a_page_by_name_even_where_no_event_is_about_it(admin_client, settings):
    names = {"ASSOCIATE_NAME": lambda context, associate: f"Anna {associate}"}
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | names
    deliver(told={"registered_associate_id": 89})
    html = page(admin_client, entity="associate", primary_key=89)
    assert "<h1>associate 89 · Anna 89</h1>" in html
    deeds = re.search(r'<a href="([^"]*)">What this associate changed</a>', html)[1]
    assert "changed_by_associate_id=89" in unescape(deeds)


def test_both_pages_of_a_record_bear_the_name_that_it_last_had(admin_client):
    deliver(1, told={"name": "Solbakken"})
    deliver(2, "deleted")
    deliver(3, entity="person", told={"contact_id": 4711})
    for view in VIEWS:
        assert "<h1>contact 4711 · Solbakken</h1>" in page(admin_client, view)


@pytest.mark.parametrize("view", VIEWS)
def test_an_associate_of_another_tenant_has_no_page(admin_client, settings, view):
    deliver()
    query = {**RECORD, "entity": "associate", "primary_key": 12}
    assert admin_client.get(url(view), query).status_code == 200
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {
        "CONTEXTS_FOR_USER": lambda user: ["Another"]
    }
    assert admin_client.get(url(view), query).status_code == 404


def test_a_relation_of_which_the_record_is_no_end_ties_it_to_nothing(admin_client):
    ends = {"source_table": 999, "source_record": 1, "destination_table": 6}
    deliver(entity="relation", told={**ends, "destination_record": 88, "contact_id": 4711})
    [item] = items(page(admin_client, "related"))
    assert "ties it to" not in text(item)
