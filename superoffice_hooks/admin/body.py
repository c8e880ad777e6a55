"""The body of a delivery as text for a reader: laid out, and marked where it did not parse."""

import enum
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from superoffice_hooks.admin.parts import render
from superoffice_hooks.exceptions import PayloadError
from superoffice_hooks.wire.body import MAX_DEPTH, MAX_UNPACKED
from superoffice_hooks.wire.payload import parse

MAX_BODY_SHOWN: Final = 64 * 1024  # characters; a page of ten megabytes helps nobody
MAX_ADDED: Final = 256 * 1024  # likewise, of the white space between them


def render_body(body: bytes | None, *, find_fault: bool = False) -> SafeString:
    """Return the body as text, laid out as JSON if it looks like it, and its size in bytes.

    ``find_fault`` marks the place where the body does not parse, if it does not. At most
    ``MAX_BODY_SHOWN`` characters are shown: the first, or those around that place.
    """
    body = body or b""
    reading = read(body)
    fault = fault_in(body, reading) if find_fault else None
    window = Window.of(reading.text, fault)
    before, marked, after = window.laid_out()
    as_it_came = visible(window.text)
    shown = f"{before}{marked}{after}"
    return render(
        "body",
        before=before,
        marked=marked,
        after=after,
        fault=fault,
        line=reading.text.count("\n", 0, fault or 0) + 1,
        column=(fault or 0) - reading.text.rfind("\n", 0, fault or 0),
        as_it_came=as_it_came if as_it_came != shown else None,
        size=len(body),
        encodings=", ".join(reading.encodings),
        is_cut=len(window.text) < len(reading.text),
        starts_late=window.start > 0,
        has_unseen=_SYMBOLS.search(shown) is not None,
    )


class Reading(NamedTuple):
    """The text that bytes spell, and ``encodings``: what was undone to read it, if anything.

    ``undecodable`` is the offset in the text of the first bytes that spell nothing.
    """

    text: str
    encodings: tuple[str, ...]
    undecodable: int | None


def read(body: bytes) -> Reading:
    """Return the text of these bytes, by the rules of ``wire.body``, whatever they are.

    What is no text is shown by a substitute; what is cut off is shown as far as it goes.
    """
    encodings = []
    if body.startswith(b"\x1f\x8b"):
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MAX_UNPACKED)
            encodings.append("gzip")
        except zlib.error:
            pass
    encoding = json.detect_encoding(body)
    if encoding != "utf-8":
        encodings.append(
            gettext("UTF-8 with a byte order mark") if encoding == "utf-8-sig" else encoding.upper()
        )
    try:
        return Reading(body.decode(encoding, "surrogatepass"), tuple(encodings), None)
    except UnicodeDecodeError as error:
        # Without the byte order mark, where the codec has taken it off.
        sound = bytes(error.object[: error.start]).decode(encoding, "replace")
        return Reading(body.decode(encoding, "replace"), tuple(encodings), len(sound))


def fault_in(body: bytes, reading: Reading) -> int | None:
    """Return the offset in the text where today's parser gives up; ``None`` where it does not.

    ``None`` too for what is wrong with the whole, or with a value.
    """
    try:
        parse(body)
    except PayloadError as error:
        if error.position is None:
            return None
        return error.position if reading.undecodable is None else reading.undecodable
    return None


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a text that is shown; ``fault`` is an offset in this part.

    ``depth`` and ``in_string`` say where in the JSON text it begins, ``is_json`` whether the whole
    looks like any.
    """

    text: str
    start: int
    fault: int | None
    depth: int
    in_string: bool
    is_json: bool

    @classmethod
    def of(cls, text: str, fault: int | None) -> "Window":
        """Return the first part of the text, or the part around the fault if it lies deeper."""
        start = 0
        if fault is not None and fault >= MAX_BODY_SHOWN:
            start = fault - MAX_BODY_SHOWN // 2
        before = text[:start]
        if (start - len(before.rstrip("\\"))) % 2:  # not between a backslash and its character
            start -= 1
            before = text[:start]
        # Escaped quotes out of the way, every other piece between quotes is outside of strings.
        pieces = before.replace("\\\\", "").replace('\\"', "").split('"')
        outside = "".join(pieces[::2])
        opened, closed = map(outside.count, "[{"), map(outside.count, "]}")
        return cls(
            text=text[start : start + MAX_BODY_SHOWN],
            start=start,
            fault=None if fault is None else fault - start,
            depth=max(0, sum(opened) - sum(closed)),
            in_string=len(pieces) % 2 == 0,
            is_json=text[:MAX_BODY_SHOWN].lstrip().startswith(("{", "[")),
        )

    def pieces(self) -> "Iterator[Piece]":
        """Return the text in pieces, with the white space that lays it out between them."""
        if not self.is_json:
            return iter([Piece(Kind.OTHER, self.text)])
        return lay_out(self.text, self.depth, self.in_string)

    def laid_out(self) -> tuple[str, str, str]:
        """Return what is shown before the fault, at it, and after it."""
        before: list[str] = []
        marked: list[str] = []
        after: list[str] = []
        fault = len(self.text) + 1 if self.fault is None else self.fault
        offset = 0
        for kind, text in self.pieces():
            if kind == Kind.ADDED:
                (before if offset <= fault else after).append(text)
                continue
            cut = fault - offset
            offset += len(text)
            if cut >= len(text):
                before.append(visible(text, kind == Kind.STRING))
            elif cut < 0:
                after.append(visible(text, kind == Kind.STRING))
            else:
                before.append(visible(text[:cut], kind == Kind.STRING))
                marked.append(visible(text[cut], in_string=True))
                after.append(visible(text[cut + 1 :], kind == Kind.STRING))
        return "".join(before), "".join(marked), "".join(after)


class Kind(enum.Enum):
    """What a piece of a laid out text is."""

    ADDED = "added"  # white space that the text does not hold
    SPACE = "space"
    STRING = "string"
    OPEN = "open"
    CLOSE = "close"
    COMMA = "comma"
    COLON = "colon"
    OTHER = "other"


class Piece(NamedTuple):
    """A part of a laid out text, exactly as it stands in the text unless it is ``ADDED``."""

    kind: Kind
    text: str


# Possessive, so that a string of ten million escapes costs no memory.
_REST_OF_STRING: Final = r'(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_STRING_END: Final = re.compile(_REST_OF_STRING, re.DOTALL)
_TOKEN: Final = re.compile(
    rf'(?P<SPACE>[ \t\r\n]++)|(?P<STRING>"{_REST_OF_STRING})|(?P<OPEN>[\[{{])|(?P<CLOSE>[\]}}])'
    r'|(?P<COMMA>,)|(?P<COLON>:)|(?P<OTHER>[^ \t\r\n"\[\]{},:]++)',
    re.DOTALL,
)
_INDENT: Final = "  "


def lay_out(text: str, depth: int = 0, in_string: bool = False) -> Iterator[Piece]:
    """Return a JSON text, whole or broken, in pieces: its own, and added white space.

    Without the added pieces it is the text as it came: nothing is parsed, so that keys given
    twice, escapes and numbers of any length stand as they were sent. Where the text has white
    space of its own, that stays, and no line break is added to one. Deeper than an event may
    nest, nothing is added. ``depth`` and ``in_string`` say where the text begins.
    """
    before, space, added, position = None, "", 0, 0
    if in_string:
        rest = _STRING_END.match(text)
        assert rest is not None  # noqa: S101  # it matches any text
        position, before = rest.end(), Kind.STRING
        yield Piece(Kind.STRING, rest[0])
    for found in _TOKEN.finditer(text, position):
        kind, token = Kind[found.lastgroup or ""], found[0]
        if kind == Kind.SPACE:
            space = token
            yield Piece(kind, token)
            continue
        if kind == Kind.CLOSE:
            depth = max(0, depth - 1)
        white = _between(before, kind, depth)
        if white and not ("\n" in space if "\n" in white else space) and added <= MAX_ADDED:
            added += len(white)
            yield Piece(Kind.ADDED, white)
        yield Piece(kind, token)
        if kind == Kind.OPEN:
            depth += 1
        before, space = kind, ""


def _between(before: Kind | None, kind: Kind, depth: int) -> str:
    """Return the white space that belongs between two tokens."""
    if before == Kind.COLON:
        return " "
    if kind == Kind.CLOSE:
        is_new_line = before not in (Kind.OPEN, None)
    else:
        is_new_line = before in (Kind.OPEN, Kind.COMMA)
    return "\n" + _INDENT * depth if is_new_line and depth <= MAX_DEPTH else ""


# Control characters, and those that turn the direction of the text round or take no room at all.
_UNSEEN: Final = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff]"
)
_UNSEEN_IN_STRING: Final = re.compile(f"{_UNSEEN.pattern}|[\t\n\r]")
_SYMBOLS: Final = re.compile("[\u2400-\u2421]|⟨U\\+")


def visible(text: str, in_string: bool = False) -> str:
    """Return the text with a symbol for each character that could not be seen, or not be sent.

    Line breaks and tabs are such characters only within a JSON string, which must not hold them.
    """
    return (_UNSEEN_IN_STRING if in_string else _UNSEEN).sub(_symbol, text)


def _symbol(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"⟨U+{code:04X}⟩"
