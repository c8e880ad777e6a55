"""The body as text for a reader."""

import gzip
import html
import json
import re
import time

import pytest
from django.utils.translation import override
from hypothesis import example, given
from hypothesis import strategies as st

from superoffice_hooks.admin.body import (
    MAX_ADDED,
    MAX_BODY_SHOWN,
    Kind,
    Window,
    lay_out,
    read,
    render_body,
    visible,
)
from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode
from tests.intake.cases import QUARANTINED, RECORDED


class Shown:
    """What the part of the page says."""

    def __init__(self, raw, find_fault=True):
        self.html = render_body(raw, find_fault=find_fault)
        pres = re.findall(r"<pre ([^>]*)>\n(.*?)</pre>", self.html, re.DOTALL)
        for attributes, _ in pres:
            assert re.fullmatch(
                r'class="so-body" tabindex="0" role="region" aria-label="[^"]+"', attributes
            )
        self.inner = pres[0][1]
        self.text = self._text(self.inner)
        self.as_it_came = self._text(pres[1][1]) if len(pres) > 1 else None
        self.mark = next(iter(re.findall(r'<mark id="so-fault">(.*?)</mark>', self.inner)), None)
        self.notes = self._text(re.sub(r"<pre.*?</pre>", "", self.html, flags=re.DOTALL))

    @staticmethod
    def _text(part):
        return html.unescape(re.sub(r"<[^>]*>", "", part))


def laid_out(text):
    return "".join(piece.text for piece in lay_out(text))


def test_a_body_is_laid_out_and_as_it_came_beneath():
    wire = {"Event": "a.b", "Changes": ["x", "y"], "Values": {}, "FieldValues": {"n": [1, []]}}
    raw = json.dumps(wire, separators=(",", ":"))
    shown = Shown(raw.encode())
    assert shown.text == json.dumps(wire, indent=2)
    assert shown.as_it_came == raw
    assert f"{len(raw)} bytes" in shown.notes
    assert "<details" in shown.html
    assert shown.mark is None


@pytest.mark.parametrize(
    "token",
    [
        *("1e400", "-0", "1.50", "7" * 6000, "9007199254740993", "NaN", "nul", "'x'"),
        *(r'"\u00e5\/\ud800\u0000"', '"å"', r'"\\"', r'"\""', '"[{,:"', '""'),
    ],
)
def test_every_token_stands_as_it_was_sent(token):
    assert laid_out(f'{{"a":{token},"a":{token}}}') == f'{{\n  "a": {token},\n  "a": {token}\n}}'


def test_white_space_of_the_bodys_own_stays_and_is_not_doubled():
    pretty = '{\r\n\t"a" : [\n1, 2 ]\n}\n'
    assert laid_out(pretty) == '{\r\n\t"a" : [\n1, \n    2 \n  ]\n}\n'
    indented = json.dumps(body(), indent=3)
    assert laid_out(indented) == indented


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        ('{"a":1', '{\n  "a": 1'),
        ('{"a" "b",1}', '{\n  "a" "b",\n  1\n}'),
        ('["a', '[\n  "a'),
        ('["a\\', '[\n  "a\\'),
        ("]]}[1", "]\n]\n}[\n  1"),
        ("[,]", "[\n  ,\n]"),
        ('[1}"', '[\n  1\n}"'),
    ],
)
def test_a_broken_text_is_laid_out_to_its_end(broken, shown):
    assert laid_out(broken) == shown


def test_deeper_than_an_event_nothing_is_indented():
    text = "[" * 60_000
    shown = laid_out(text)
    assert shown.replace("\n", "").replace(" ", "") == text
    assert len(shown) < len(text) + 2_000
    assert len(laid_out("[" * 30 + "1," * 30_000)) < 60_030 + MAX_ADDED + 100


json_like = st.text(alphabet='{}[],:" \n\t\\x1-eE.u0å\0\u202e🚀', max_size=300)


@given(text=json_like | st.text(max_size=200), depth=st.integers(0, 40), in_string=st.booleans())
@example(text='"\\', depth=0, in_string=False)
@example(text="\\", depth=0, in_string=True)
@example(text='\x0b\x85\u2028"', depth=1, in_string=False)
def test_without_what_was_added_it_is_the_text_itself(text, depth, in_string):
    pieces = list(lay_out(text, depth, in_string))
    assert "".join(piece.text for piece in pieces if piece.kind != Kind.ADDED) == text
    added = [piece.text for piece in pieces if piece.kind == Kind.ADDED]
    assert all(re.fullmatch(r" |\n *", white) for white in added)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, dict | list)),
    ensure_ascii=st.booleans(),
)
def test_valid_json_is_laid_out_as_python_lays_it_out(value, ensure_ascii):
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=ensure_ascii)
    assert laid_out(compact) == json.dumps(value, indent=2, ensure_ascii=ensure_ascii)


@given(text=json_like, place=st.integers(0, 300), size=st.integers(3, 40))
def test_the_window_and_the_mark_lose_nothing(text, place, size):
    place = min(place, len(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("superoffice_hooks.admin.body.MAX_BODY_SHOWN", size)
        window = Window.of(text, place)
    assert window.text == text[window.start : window.start + size]
    assert window.start + window.fault == place
    before, marked, after = window.laid_out()
    shown = "".join(
        piece.text if piece.kind == Kind.ADDED else visible(piece.text, piece.kind == Kind.STRING)
        for piece in window.pieces()
    )
    offered = visible(text[place], in_string=True) if place < len(text) else ""
    assert marked == offered
    if marked == text[place : place + 1]:
        assert before + marked + after == shown


@given(text=json_like.map(lambda text: "[" + text), place=st.integers(0, 200))
def test_a_later_part_begins_in_the_same_string_as_in_the_whole(text, place):
    place = min(place, len(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("superoffice_hooks.admin.body.MAX_BODY_SHOWN", 1)
        window = Window.of(text, place)
    in_string = escaped = False
    for character in text[: window.start]:
        if in_string and escaped:
            escaped = False
        elif in_string and character == "\\":
            escaped = True
        elif character == '"':
            in_string = not in_string
    # A backslash outside of strings is no JSON, and then it is anybody's guess.
    if "\\" not in re.sub(r'"(?:[^"\\]|\\.)*"?', "", text[: window.start], flags=re.DOTALL):
        assert (window.in_string, escaped) == (in_string, False)


# The mark.


@pytest.mark.parametrize(
    ("raw", "mark", "place"),
    [
        (b'{"Event": "a.b" "PrimaryKey": 1}', "&quot;", "line 1, column 17"),
        (b'{\n"Event":\n  1 2}', "2", "line 3, column 5"),
        (b'{"Event": "a.b",1}', "1", "line 1, column 17"),
        (b"Event=contact.changed", "E", "line 1, column 1"),
        (b'{"Event": "a.b"', "(it ends here)", "line 1, column 16"),
        (b"", "(it ends here)", "line 1, column 1"),
        (b'{"a": "x\ny"}', "\N{SYMBOL FOR LINE FEED}", "line 1, column 9"),
        (b'{"a": "\x01"}', "\N{SYMBOL FOR START OF HEADING}", "line 1, column 8"),
        (b"\0", "\N{SYMBOL FOR NULL}", "line 1, column 1"),
        (b"[" * 100, "[", "line 1, column 31"),
        ('{"a": "æ"}'.encode("latin-1"), "\N{REPLACEMENT CHARACTER}", "line 1, column 8"),
        ('{"å": "'.encode() + b'\xff"}', "\N{REPLACEMENT CHARACTER}", "line 1, column 8"),
        (b"\xef\xbb\xbf" + b'{"a": "\xff"}', "\N{REPLACEMENT CHARACTER}", "line 1, column 8"),
        ('{"å": 1 2}'.encode("utf-16"), "2", "line 1, column 9"),
        ('{"å": 1 2}'.encode("utf-16-be"), "2", "line 1, column 9"),
        ('{"å"}'.encode("utf-16") + b"}", "\N{REPLACEMENT CHARACTER}", "line 1, column 6"),
        (gzip.compress(b'{"a": <b>}'), "&lt;", "line 1, column 7"),
    ],
)
def test_the_place_where_it_does_not_parse_is_marked(raw, mark, place):
    shown = Shown(raw)
    assert shown.mark == mark
    assert f"It cannot be read on from {place}: the marked place." in shown.notes
    assert 'href="#so-fault"' in shown.html


@pytest.mark.parametrize(("raw", "reason"), QUARANTINED)
def test_whatever_was_quarantined_is_shown_and_marked_where_there_is_a_place(raw, reason):
    with pytest.raises(PayloadError) as error:
        parse(raw)
    shown = Shown(raw)
    assert (shown.mark is None) == (error.value.position is None)
    assert ("It cannot be read on" in shown.notes) == (error.value.position is not None)
    text = read(raw).text
    if text.isascii() and text.isprintable() and len(text) < MAX_BODY_SHOWN:
        unmarked = shown.text.replace("(it ends here)", "")
        assert re.sub(r"\s", "", unmarked) == re.sub(r"\s", "", text)


@pytest.mark.parametrize(("raw", "flags"), RECORDED)
def test_what_was_recorded_has_no_mark(raw, flags):
    shown = Shown(raw)
    assert shown.mark is None
    assert shown.text
    assert ("is shown decoded" in shown.notes) == ("encoded" in flags)


def test_nothing_is_marked_unless_it_is_asked_for():
    assert Shown(b"not JSON", find_fault=False).mark is None


# What is large.


def test_of_a_large_body_the_beginning_is_shown():
    shown = Shown(encode(body(FieldValues={"note": "v" * 200_000})))
    assert "Only the beginning is shown." in shown.notes
    assert len(shown.as_it_came) == MAX_BODY_SHOWN
    assert shown.text.startswith('{\n  "EventId": "')


@pytest.mark.parametrize(
    ("before", "fault", "line", "column"),
    [
        ('{"note": "' + '\\"{' * 70_000 + '", ', "x", 1, 210_014),
        ('{"list": [' + "[], " * 70_000 + "1], ", "x", 1, 280_015),
        ('{"note": "' + "v" * 200_000, "\x01", 1, 200_011),
        ('{"note": "' + "\\\\" * 70_001, "\x01", 1, 140_013),
        ("{" + "\n" * 100_000 + '"note": 1, ', "x", 100_001, 12),
    ],
    ids=["escapes", "lists", "in a string", "backslashes", "lines"],
)
def test_of_a_fault_further_in_its_surroundings_are_shown(before, fault, line, column):
    text = f'{before}{fault}": 1, "b": [2]}}'
    shown = Shown(text.encode())
    assert "Only the part around the marked place is shown." in shown.notes
    assert f"line {line}, column {column}:" in shown.notes
    assert shown.mark == visible(fault, in_string=True)
    assert len(shown.as_it_came) <= MAX_BODY_SHOWN
    assert shown.as_it_came.endswith(visible(text[-MAX_BODY_SHOWN // 4 :]))


def test_a_later_part_is_indented_as_deep_as_it_lies():
    text = '{"a": {"[{": [' + "1, " * 40_000 + 'x, "[", 2]}}'
    shown = Shown(text.encode())
    assert re.sub(r" +\n", "\n", shown.text).endswith(
        '\n      1,\n      x,\n      "[",\n      2\n    ]\n  }\n}'
    )
    assert shown.mark == "x"


@pytest.mark.parametrize(
    "raw",
    [
        *(b"[" * 10_000_000, b'"\\' * 5_000_000, b'"' * 10_000_000, b"\\" * 10_000_000),
        *(b'{"a":' * 2_000_000, b"\0" * 10_000_000, b"[" + b"1," * 5_000_000 + b"x"),
        *(b'{"a":"' + b'\\"' * 4_999_990 + b"\x01", b"{" + b" " * 10_000_000, b"," * 10_000_000),
        *(b"a" * 10_000_000 + b"\xff", ("[" * 5_000_000).encode("utf-16")),
        gzip.compress(b"[" * 10_000_000),
    ],
    ids=lambda raw: ascii(raw[:8]),
)
def test_ten_hostile_megabytes_are_shown_soon_and_the_page_stays_small(raw):
    started = time.perf_counter()
    shown = render_body(raw, find_fault=True)
    assert time.perf_counter() - started < 5
    assert len(shown) < 1_500_000


# What is not plain text.


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (gzip.compress(b"{}"), "gzip"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-32-be"), "UTF-32-BE"),
        (gzip.compress("{}".encode("utf-16-le")), "gzip, UTF-16-LE"),
        (b"\xef\xbb\xbf{}", "UTF-8 with a byte order mark"),
    ],
)
def test_what_came_encoded_is_shown_decoded_and_says_so(raw, named):
    shown = Shown(raw)
    assert shown.text == "{}"
    assert f"It came as {named} and is shown decoded." in shown.notes
    assert f"{len(raw)} bytes" in shown.notes


def test_what_can_be_unpacked_of_a_broken_gzip_is_shown():
    assert Shown(gzip.compress(b'{"a":1}' * 1000)[:-9]).text.startswith('{\n  "a": 1\n}')
    assert "is shown decoded" not in Shown(b"\x1f\x8bnone").notes


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\0b", "a␀b"),
        (b"a\x1bb\x7f", "a␛b␡"),
        ("x\u202ey\u200b\ufeff\u0085".encode(), "x⟨U+202E⟩y⟨U+200B⟩⟨U+FEFF⟩⟨U+0085⟩"),
        ("x\ud800".encode("utf-8", "surrogatepass"), "x⟨U+D800⟩"),
        (b'["\t"]', '[\n  "␉"\n]'),
    ],
)
def test_what_cannot_be_seen_is_shown_by_a_symbol(raw, text):
    shown = Shown(raw, find_fault=False)
    assert shown.text == text
    assert "Characters that cannot be seen are shown as ␀ or ⟨U+202E⟩." in shown.notes


def test_line_breaks_and_tabs_of_the_layout_stay():
    assert Shown(b"a\tb\r\nc\n", find_fault=False).text == "a\tb\r\nc\n"


def test_no_text_of_the_body_is_markup():
    shown = Shown(b'{"<script>": "</pre>&amp;" <mark>')
    assert "<script>" not in shown.html
    assert shown.inner.count("<") == 2  # our mark
    assert shown.text == '{\n  "<script>": "</pre>&amp;" <mark>'


def test_no_body_at_all_is_no_bytes():
    shown = Shown(None, find_fault=False)
    assert (shown.text, shown.mark) == ("", None)
    assert "0 bytes" in shown.notes


def test_the_place_is_the_same_in_every_language():
    with override("nb"):
        assert '<mark id="so-fault">2</mark>' in render_body(b"[1 2]", find_fault=True)
