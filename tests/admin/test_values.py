"""One value, as a reader sees it."""

import re
from html import unescape

import pytest
from django.utils import timezone, translation

from superoffice_hooks.admin.values import MAX_TEXT, label_of, render_value
from superoffice_hooks.trail.people import People
from superoffice_hooks.trail.record import Record

RECORD = Record("Cust 1&", "sale", 7)


def text(html):
    return unescape(re.sub("<.*?>", "", html))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Fjordbygg AS", "Fjordbygg AS"),
        ("", "empty"),
        (None, "empty"),
        ("0001-01-01T00:00:00", "empty"),
        ("[DT:01/01/0001 00:00:00.0000000]", "empty"),
        ("[D:01.01.0001]", "empty"),
        (0, "0"),
        (2**62, str(2**62)),
        (1.5, "1.5"),
        (True, "yes"),
        (False, "no"),
        ("[I:6]", "6"),
        ("[M:123.40]", "123.40"),
        ("[D:27.02.2026]", "Feb. 27, 2026"),
        ("[DT:02/27/2026 13:05:09.1230000]", "Feb. 27, 2026, 13:05:09"),
        ("[DT:02/27/2026 00:00:00]", "Feb. 27, 2026"),
        ("[T:13:05:09]", "13:05:09"),
        ("[A:1,2]", "[1, 2]"),
        ("[A:]", "[]"),
        ("[B:AP8=]", "00 ff"),
        ("[I:six]", "[I:six]"),
        ("[TS:500]", "500"),
        ("2026-02-27T13:05:09", "Feb. 27, 2026, 13:05:09 no time zone sent"),
        ("2026-02-27T00:00:00", "Feb. 27, 2026"),
        ("2026-02-27T13:05:09.1234567", "Feb. 27, 2026, 13:05:09 no time zone sent"),
        ("2026-02-30T13:05:09", "2026-02-30T13:05:09"),
        ("2026-02-27", "2026-02-27"),
        ({"a": [1, None, "<"]}, '{"a": [1, null, "<"]}'),
        ([], "[]"),
    ],
)
def test_is_shown_decoded(value, shown):
    html = render_value("field", value, RECORD)
    assert text(html) == shown
    assert ("<em>" in html) is (shown == "empty")


def test_a_moment_with_its_zone_is_in_the_readers():
    with timezone.override("Europe/Oslo"):
        html = render_value("field", "2026-02-27T13:05:09Z", RECORD)
    assert text(html) == "Feb. 27, 2026, 14:05:09 CET"
    assert 'title="2026-02-27 13:05:09.000000 UTC"' in html


def test_a_date_is_in_the_readers_language():
    with translation.override("nb"):
        assert text(render_value("field", "[D:27.02.2026]", RECORD)) == "27. februar 2026"


@pytest.mark.parametrize(
    "value",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:01",
        "[DT:01/01/0001 00:00:01]",
        "[DT:12/31/9999 23:59:59]",
        "[F:1E999999999]",
        "[F:NaN]",
        "[I:" + "9" * 5000 + "]",
        10**4000,
        1e308,
        "\0",
        "[A:" + "1," * 10_000 + "1]",
        "[B:" + "QUJD" * 10_000 + "]",
        {"a": {"b": [{}] * 5000}},
        "x" * 1_000_000,
    ],
    ids=lambda value: repr(value)[:40] if len(str(value)[:50]) < 50 else str(value)[:20],
)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_no_value_is_too_odd_or_too_long(value, zone):
    with timezone.override(zone):
        html = render_value("field", value, RECORD)
    assert text(html)
    assert len(html) < 3 * MAX_TEXT or isinstance(value, int)


@pytest.mark.parametrize(
    ("name", "value", "beside", "link"),
    [
        ("contact_id", 1201, {}, "contact 1201"),
        ("ContactId", "1201", {}, "contact 1201"),
        ("person_id", "[I:88]", {}, "person 88"),
        ("sale_id", 8, {}, "sale 8"),
        ("source_record", 3, {"source_table": 5, "source_record": 3}, "contact 3"),
        ("destination_record", 3, {"destination_table": "[I:6]"}, "person 3"),
    ],
)
def test_an_id_is_linked_to_its_record_of_the_same_tenant(name, value, beside, link):
    entity, key = link.split()
    assert render_value(name, value, RECORD, beside) == (
        f'<a href="/admin/superoffice_hooks/event/record/?context_identifier=Cust+1%26'
        f'&amp;entity={entity}&amp;primary_key={key}">{link}</a>'
    )


@pytest.mark.parametrize(
    ("name", "value", "beside"),
    [
        ("sale_id", 7, {}),  # the record itself
        ("contact_id", 0, {}),
        ("contact_id", -1, {}),
        ("contact_id", True, {}),
        ("contact_id", 2**63, {}),
        ("contact_id", "x", {}),
        ("category_idx", 4, {}),
        ("source_record", 3, {"source_table": 99}),
        ("source_record", 3, {"destination_table": 5}),
        ("source_record", 3, None),
    ],
)
def test_what_points_to_no_other_record_is_not_linked(name, value, beside):
    assert "<a" not in render_value(name, value, RECORD, beside)


def test_an_associate_is_named_where_the_site_knows_the_name(settings):
    asked = []

    def name(context, number):
        asked.append((context, number))
        return {12: "Kari <Nordmann>"}.get(number)

    settings.SUPEROFFICE_HOOKS = {"ASSOCIATE_NAME": name}
    people = People()
    shown = [
        render_value(field, number, RECORD, {}, people)
        for field, number in [
            ("associate_id", 12),
            ("associate_id", "[I:12]"),
            ("person_id", 12),
            ("updated_associate_id", 13),
        ]
    ]
    assert [text(html) for html in shown] == [
        *("Kari <Nordmann> #12", "Kari <Nordmann> #12", "person 12", "associate 13"),
    ]
    assert "entity=associate&amp;primary_key=12" in shown[0]
    assert asked == [("Cust 1&", 12), ("Cust 1&", 13)]
    assert text(render_value("associate_id", 12, RECORD)) == "associate 12"


TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("value", [TURNING, [TURNING], {TURNING: 1}, f"[S:{TURNING}]"])
def test_what_turns_the_text_round_is_shown_as_what_it_is(value):
    html = render_value("field", value, RECORD)
    marks = "".join(f"[U+{ord(mark):04X}]" for mark in TURNING)
    assert marks in html
    assert not set(TURNING) & set(html)
    assert label_of({"name": f"{TURNING}x"}) == f"{marks}x"


HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize("value", [HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, f"[A:{HOSTILE}]"])
@pytest.mark.parametrize("name", [HOSTILE, "contact_id", "source_record"])
def test_hostile_text_stays_text(name, value):
    html = render_value(name, value, RECORD, {"source_table": HOSTILE})
    assert "&lt;script&gt;" in html
    assert "<script" not in html


def test_an_encoded_value_is_there_as_it_was_sent():
    assert render_value("x", "[M:5.00]", RECORD) == '<span title="[M:5.00]">5.00</span>'
