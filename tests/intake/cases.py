"""The catalogue of odd bodies: what each is, what becomes of it, and what is said of it.

Every body is authentic: its signature is right. So each is answered 200, and each is stored:
``RECORDED`` cases as an event with these flags, ``QUARANTINED`` cases whole, with this reason.
``catalogue`` adds what is odd about the requests around them.
"""

import bz2
import gzip
import json
import zlib
from typing import Any
from uuid import UUID

import pytest

from superoffice_hooks.wire.body import MAX_DEPTH, MAX_UNPACKED, Flag
from superoffice_hooks.wire.payload import MAX_ROWS
from tests.builders import body, encode


def _text(replace: str, by: str, **changes: Any) -> bytes:
    """A body in which one text is replaced after encoding, for what json.dumps never writes."""
    text = encode(body(**changes)).decode()
    assert replace in text
    return text.replace(replace, by, 1).encode("utf-8", "surrogatepass")


def _value(json_text: str) -> bytes:
    return _text('"@"', json_text, FieldValues={"odd": "@"})


def _nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


_RECORDED: dict[str, tuple[bytes, set[Flag]]] = {
    # What documentation only implies.
    "Changes absent": (encode(body(Changes=...)), set()),
    "Changes null": (encode(body(Changes=None)), set()),
    "Values null": (encode(body(Values=None)), set()),
    "Values empty": (encode(body(Values={})), set()),
    "FieldValues absent": (encode(body(FieldValues=...)), set()),
    "FieldValues null": (encode(body(FieldValues=None)), set()),
    "ContextIdentifier absent": (encode(body(ContextIdentifier=...)), set()),
    "ContextIdentifier empty": (encode(body(ContextIdentifier="")), set()),
    "ContextIdentifier null": (encode(body(ContextIdentifier=None)), set()),
    "WebhookName absent": (encode(body(WebhookName=...)), set()),
    "associate absent": (encode(body(ChangedByAssociateId=...)), set()),
    "Entity absent": (encode(body(Entity=...)), set()),
    "EventId absent": (encode(body(EventId=...)), set()),
    "EventId null": (encode(body(EventId=None)), set()),
    "EventId in braces": (encode(body(EventId="{0B7C1A52-3A55-4B14-8DF0-2F6F1A54C0AB}")), set()),
    "EventId with spaces": (encode(body(EventId=" 0b7c1a523a554b148df02f6f1a54c0ab ")), set()),
    "EventId is Guid.Empty": (encode(body(EventId=str(UUID(int=0)))), set()),
    "EventId of no standard": (
        encode(body(EventId="c472b36e-a5c1-c2cf-0f6f-f835866f2c5b")),
        set(),
    ),
    "EventId of ones": (encode(body(EventId="f" * 32)), set()),
    "injected properties": (encode(body(Region="Nord", Extra={"a": [1, None]})), set()),
    "empty names": (encode(body(Changes=["", " "], Values={"": 1, " ": 2})), set()),
    "null and false among the values": (
        encode(body(Values={"a": None, "b": False, "c": "", "d": [], "e": {}})),
        set(),
    ),
    "a property of JavaScript": (encode(body(FieldValues={"__proto__": {"a": 1}})), set()),
    "keys in another case": (encode(body(changes=["x"], primarykey=1)), set()),
    "unknown entity": (encode(body(Event="spaceship.launched", Entity="spaceship")), set()),
    "dotted entity": (encode(body(Event="list.abc.def.changed", Entity=...)), set()),
    "event without a dot": (encode(body(Event="ping", Entity=...)), set()),
    "event that ends in a dot": (encode(body(Event="contact.", Entity=...)), set()),
    "event of a dot": (encode(body(Event=".", Entity=...)), set()),
    "event of dots": (encode(body(Event="..changed", Entity=...)), set()),
    "event with white space": (encode(body(Event=" contact.changed\n", Entity=...)), set()),
    "event in emoji": (encode(body(Event="🚀.🛬", Entity=...)), set()),
    "entity that is not the event's": (encode(body(Entity="person")), set()),
    "repeated names": (encode(body(Changes=["name", "name", "Name"])), set()),
    "500 changes": (encode(body(Changes=[f"field_{n}" for n in range(500)])), set()),
    "key of 60 bits": (encode(body(PrimaryKey=2**60)), set()),
    "smallest key": (encode(body(PrimaryKey=-(2**63))), set()),
    "largest key": (encode(body(PrimaryKey=2**63 - 1)), set()),
    "key zero": (encode(body(PrimaryKey=0)), set()),
    "key minus zero": (_text("4711,", "-0,"), set()),
    "key minus one": (encode(body(PrimaryKey=-1)), set()),
    "associate minus one": (encode(body(ChangedByAssociateId=-1)), set()),
    "tenant of 255 emoji": (encode(body(ContextIdentifier="🚀" * 255)), set()),
    "tenant that looks like another": (encode(body(ContextIdentifier="\u0421ust24680")), set()),
    "markup": (
        encode(body(FieldValues={"<script>": "<script>alert(1)</script>&amp;\"'"})),
        set(),
    ),
    "templates and formats": (
        encode(body(FieldValues={"{{ x }}": "{% now %} {0} ${x} %s %(x)s %n"})),
        set(),
    ),
    "quotes that end statements": (
        encode(body(WebhookName="'; DROP TABLE x; --", Changes=["a' OR 1=1 --", 'a"b', "a`b"])),
        set(),
    ),
    "formula": (
        encode(body(FieldValues={"name": '=HYPERLINK("http://x")', "+": "@SUM(1)"})),
        set(),
    ),
    "terminal codes": (_text("Fjordbygg", r"\u001b[2J\u0007\u0008\u009b"), set()),
    "line separators": (_text("Fjordbygg", r"\r\n\u2028\u2029\u0085\u000b"), set()),
    "noncharacters": (encode(body(FieldValues={"note": "\ufffe\uffff\U0010ffff\ue000"})), set()),
    "text in two directions": (
        encode(body(FieldValues={"note": "\u202eGnirrub\u202c \u2066\u05d0\u2069"})),
        set(),
    ),
    "one letter of a thousand accents": (
        encode(body(FieldValues={"note": "e" + "\u0301" * 1000})),
        set(),
    ),
    "one letter spelt two ways": (
        encode(body(Changes=["caf\u00e9", "cafe\u0301"], Values={"\u00e9": 1, "e\u0301": 2})),
        set(),
    ),
    "folder names": (encode(body(FieldValues={"../../etc": "C:\\con\\nul"})), set()),
    "base64 of a large file": (encode(body(FieldValues={"file": "QUJD" * 250_000})), set()),
    "escapes throughout": (_text("Fjordbygg", r"\u0046\/\b\f\t"), set()),
    "non-ASCII": (encode(body(FieldValues={"navn": "Ærlig Ødegård 🚀 \u202e"})), set()),
    "white space around": (b"\r\n " + encode(body()) + b"\n\t", set()),
    # Times.
    "no fraction": (encode(body(Timestamp="2026-03-02T09:15:27Z")), set()),
    "five digits": (encode(body(Timestamp="2026-03-02T09:15:27.27583Z")), set()),
    "offset": (encode(body(Timestamp="2026-03-02T10:15:27.5+01:00")), set()),
    "no offset": (encode(body(Timestamp="2026-03-02T09:15:27")), {Flag.ASSUMED_UTC}),
    "no digit after zero": (encode(body(Timestamp="2026-03-02T09:15:27.0000000Z")), set()),
    "fifty digits": (encode(body(Timestamp=f"2026-03-02T09:15:27.{'9' * 50}Z")), set()),
    "comma before the fraction": (encode(body(Timestamp="2026-03-02T09:15:27,5Z")), set()),
    "space for the T": (encode(body(Timestamp="2026-03-02 09:15:27Z")), set()),
    "offset without minutes": (encode(body(Timestamp="2026-03-02T09:15:27+05")), set()),
    "offset without a colon": (encode(body(Timestamp="2026-03-02T09:15:27-0930")), set()),
    "largest offset": (encode(body(Timestamp="2026-03-02T09:15:27+23:59")), set()),
    "29 February": (encode(body(Timestamp="2028-02-29T12:00:00Z")), set()),
    "before the epoch": (encode(body(Timestamp="1969-12-31T23:59:59.9Z")), set()),
    "after 2038": (encode(body(Timestamp="2038-01-19T03:14:08Z")), set()),
    "future": (encode(body(Timestamp="2199-12-31T23:59:59.9999999Z")), set()),
    "long ago": (encode(body(Timestamp="1001-01-01T00:00:00Z")), set()),
    # Values that columns and parsers stumble over.
    "empty date": (_value('"0001-01-01T00:00:00"'), set()),
    "2^53 + 1": (_value(str(2**53 + 1)), set()),
    "integer of 4,000 digits": (_value("7" * 4000), set()),
    "2^64": (_value(str(2**64)), set()),
    "double that is exact": (_value("1.50"), set()),
    "smallest double": (_value("5e-324"), set()),
    "double beyond 2^53 that is exact": (_value("1e22"), set()),
    "double below the smallest": (_value("1e-400"), {Flag.LOSSY}),
    "minus zero": (_value("-0.0"), set()),
    "exponent in a capital": (_value("25E-2"), set()),
    "double that rounds": (_value("9007199254740993.0"), {Flag.LOSSY}),
    "1e999": (_value("1e999"), {Flag.LOSSY}),
    "1e400000": (_value("1e400000"), {Flag.LOSSY}),
    "1e-99999999999999999999": (_value("1e-99999999999999999999"), {Flag.LOSSY}),
    "NUL in a value": (_value(r'"a\u0000b"'), {Flag.LOSSY}),
    "NUL in a name": (_text("@", r"a\u0000b", Changes=["@"]), {Flag.LOSSY}),
    "NUL in a key": (_text("@", r"a\u0000b", Values={"@": 1}), {Flag.LOSSY}),
    "NUL in the tenant": (_text("@", r"a\u0000", ContextIdentifier="@"), {Flag.LOSSY}),
    "NUL alone": (_value(r'"\u0000"'), {Flag.LOSSY}),
    "NUL in the event": (_text("contact.changed", r"contact\u0000.changed"), {Flag.LOSSY}),
    "NUL in a property": (_text('"Event"', r'"a\u0000":1,"Event"'), {Flag.LOSSY}),
    "two keys that NUL tells apart": (
        _text('"@":1', r'"a\u0000":1,"a␀":2', Values={"@": 1}),
        {Flag.LOSSY},
    ),
    "lone surrogate in a name": (_text("@", r"\udfff", Changes=["@"]), {Flag.LOSSY}),
    "lone surrogate": (_value(r'"\ud800"'), {Flag.LOSSY}),
    "surrogates the wrong way round": (_value(r'"\udc00\ud800"'), {Flag.LOSSY}),
    "surrogate pair": (_value(r'"\ud83d\ude80"'), set()),
    "surrogate as bytes": (_value('"\ud800"'), {Flag.LOSSY}),
    "escaped backslash before u": (_value(r'"\\u0000"'), set()),
    "two values under one key": (_value('1, "odd": 2'), {Flag.DUPLICATE_KEYS}),
    "Changes given twice": (
        _text('"Changes":', '"Changes":["x"],"Changes":'),
        {Flag.DUPLICATE_KEYS},
    ),
    "key twice further in": (
        _value('{"EventId": 1, "EventId": 2}'),
        {Flag.DUPLICATE_KEYS},
    ),
    "as deep as allowed": (encode(body(FieldValues={"deep": _nested(MAX_DEPTH - 2)})), set()),
    "brackets in a string": (encode(body(FieldValues={"text": '["{' * 200})), set()),
    "brackets after one another": (encode(body(FieldValues={"wide": [[]] * 200})), set()),
    "too many changes": (
        encode(body(Changes=[f"f{n}" for n in range(MAX_ROWS + 1)])),
        {Flag.CAPPED},
    ),
    "500,000 changes": (
        encode(body(Changes=[f"f{n}" for n in range(500_000)])),
        {Flag.CAPPED},
    ),
    "too many values": (
        encode(body(Values={f"f{n}": n for n in range(MAX_ROWS + 1)})),
        {Flag.CAPPED},
    ),
    "long webhook name": (encode(body(WebhookName="W" * 1000)), {Flag.LOSSY}),
    "long tenant": (encode(body(ContextIdentifier="C" * 10_000)), {Flag.LOSSY}),
    "long event": (encode(body(Event="e" * 10_000 + ".changed", Entity=...)), {Flag.LOSSY}),
    "long field names": (
        encode(body(Changes=["f" * 300 + "1", "f" * 300 + "2", "🚀" * 255])),
        {Flag.LOSSY},
    ),
    "long property": (encode(body(**{"p" * 10_000: "v" * 10_000})), set()),
    "1,000 properties": (encode(body(**{f"p{n}": n for n in range(1000)})), set()),
    "long deleted value": (encode(body(Values={"note": "v" * 100_000})), set()),
    "names that differ by case": (encode(body(Changes=["name", "NAME", "name "])), set()),
    "values that differ by case": (encode(body(Values={"a": 1, "A": 2, "a ": 3})), set()),
    "5 MB that escaping would treble": (
        encode(body(FieldValues={"navn": "å" * 2_500_000})),
        set(),
    ),
    # Encodings.
    "BOM": (b"\xef\xbb\xbf" + encode(body()), {Flag.ENCODED}),
    "UTF-16": (encode(body()).decode().encode("utf-16"), {Flag.ENCODED}),
    "UTF-32 without BOM": (encode(body()).decode().encode("utf-32-le"), {Flag.ENCODED}),
    "UTF-16 big-endian without BOM": (
        encode(body()).decode().encode("utf-16-be"),
        {Flag.ENCODED},
    ),
    "UTF-32": (encode(body()).decode().encode("utf-32"), {Flag.ENCODED}),
    "gzip": (gzip.compress(encode(body())), {Flag.ENCODED}),
    "gzip of UTF-16": (gzip.compress(encode(body()).decode().encode("utf-16")), {Flag.ENCODED}),
    "gzip with more behind it": (gzip.compress(encode(body())) + b"junk", {Flag.ENCODED}),
}

_QUARANTINED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "white space": (b" \n", "not JSON"),
    "not JSON": (b"Event=contact.changed", "not JSON"),
    "missing comma": (b'{"Event": "a.b" "PrimaryKey": 1}', "(at character 16)"),
    "trailing comma": (b'{"Event": "a.b",}', "not JSON"),
    "two documents": (encode(body()) * 2, "Extra data"),
    "cut off": (encode(body())[:-1], "not JSON"),
    "one document a line": (encode(body()) + b"\n" + encode(body()), "Extra data"),
    "semicolon at the end": (encode(body()) + b";", "Extra data"),
    "comment": (b"/* a */ " + encode(body()), "not JSON"),
    "single quotes": (b"{'Event': 'contact.changed'}", "not JSON"),
    "key without quotes": (b'{Event: "contact.changed"}', "not JSON"),
    "guard before JSON": (b")]}',\n" + encode(body()), "not JSON"),
    "call around JSON": (b"receive(" + encode(body()) + b")", "not JSON"),
    "form": (b"payload=%7B%22Event%22%3A%22contact.changed%22%7D", "not JSON"),
    "parts of a form": (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
        + encode(body())
        + b"\r\n--x--\r\n",
        "not JSON",
    ),
    "XML": (b'<?xml version="1.0"?><Event>contact.changed</Event>', "not JSON"),
    "XML of many entities": (
        b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>',
        "not JSON",
    ),
    "page of an error": (b"<html><body>502 Bad Gateway</body></html>", "not JSON"),
    "scalar": (b"1", "not an object"),
    "true": (b"true", "not an object"),
    "double": (b"1.5", "not an object"),
    "empty array": (b"[]", "not an object"),
    "empty object": (b"{}", "Event is missing"),
    "JSON in a string": (json.dumps(encode(body()).decode()).encode(), "not an object"),
    "string": (b'"contact.changed"', "not an object"),
    "null": (b"null", "not an object"),
    "array": (b"[" + encode(body()) + b"]", "not an object"),
    "raw NUL": (encode(body()) + b"\0", "not JSON"),
    "control character in a string": (_value('"a\x01b"'), "Invalid control character"),
    "line break in a string": (_value('"a\nb"'), "Invalid control character"),
    "unknown escape": (_value(r'"\x41"'), "not JSON"),
    "escape of two digits": (_value(r'"\u12"'), "not JSON"),
    "leading zero": (_value("007"), "not JSON"),
    "hexadecimal": (_value("0x1F"), "not JSON"),
    "plus": (_value("+1"), "not JSON"),
    "dot at the end": (_value("1."), "not JSON"),
    "digits of Arabic": (_value("\u0664\u0667"), "not JSON"),
    "undefined": (_value("undefined"), "not JSON"),
    "True": (_value("True"), "not JSON"),
    "NaN": (_value("NaN"), "NaN is not a number"),
    "Infinity": (_value("Infinity"), "Infinity is not a number"),
    "-Infinity": (_value("-Infinity"), "-Infinity is not a number"),
    "integer of 5,000 digits": (_value("7" * 5000), "more digits"),
    "one level too deep": (
        encode(body(FieldValues={"deep": _nested(MAX_DEPTH - 1)})),
        f"deeper than {MAX_DEPTH}",
    ),
    "100,000 levels of arrays": (b"[" * 100_000, f"deeper than {MAX_DEPTH}"),
    "100,000 levels of objects": (b'{"a":' * 100_000, f"deeper than {MAX_DEPTH}"),
    "Latin-1": (encode(body(WebhookName="@")).replace(b"@", b"\xe6"), "not UTF-8"),
    "UTF-8 of two bytes for one": (
        encode(body(WebhookName="@")).replace(b"@", b"\xc0\xaf"),
        "not UTF-8",
    ),
    "UTF-8 beyond Unicode": (
        encode(body(WebhookName="@")).replace(b"@", b"\xf4\x90\x80\x80"),
        "not UTF-8",
    ),
    "UTF-8 cut within a letter": (
        encode(body(WebhookName="@")).replace(b"@", b"\xf0\x9f\x9a"),
        "not UTF-8",
    ),
    "any bytes": (bytes(range(256)), "not "),
    "zeros": (bytes(64), "not JSON"),
    "half a UTF-16 character": (encode(body()).decode().encode("utf-16") + b"}", "not UTF-16"),
    "deflate": (zlib.compress(encode(body())), "not UTF-8"),
    "bzip2": (bz2.compress(encode(body())), "not UTF-8"),
    "gzip of gzip": (gzip.compress(gzip.compress(encode(body()))), "not UTF-8"),
    "gzip of nothing": (gzip.compress(b""), "not JSON"),
    "gzip's first bytes": (b"\x1f\x8b", "cut off"),
    "broken gzip": (b"\x1f\x8b" + encode(body()), "gzip"),
    "gzip cut off": (gzip.compress(encode(body()))[:-9], "cut off"),
    "gzip of too much": (gzip.compress(b" " * (MAX_UNPACKED + 1)), "unpacks to more"),
    "EventId given twice": (_text('"EventId":', '"EventId":1,"EventId":'), "EventId is given more"),
    "Event given twice": (_text('"Event":', '"Event":"a.b","Event":'), "Event is given more"),
    "PrimaryKey given twice": (
        _text('"PrimaryKey":', '"PrimaryKey":1,"PrimaryKey":'),
        "PrimaryKey is given more",
    ),
    "tenant given twice": (
        _text('"ContextIdentifier":', '"ContextIdentifier":"a","ContextIdentifier":'),
        "ContextIdentifier is given more",
    ),
    "no Event": (encode(body(Event=...)), "Event is missing"),
    "Event empty": (encode(body(Event="")), "Event is missing"),
    "Event null": (encode(body(Event=None)), "Event is missing"),
    "Event a number": (encode(body(Event=1)), "Event is not a string"),
    "Event in another case": (
        encode(body(Event=..., event="contact.changed")),
        "Event is missing",
    ),
    "no PrimaryKey": (encode(body(PrimaryKey=...)), "PrimaryKey is missing"),
    "PrimaryKey null": (encode(body(PrimaryKey=None)), "PrimaryKey is missing"),
    "PrimaryKey true": (encode(body(PrimaryKey=True)), "not an integer"),
    "PrimaryKey a string": (encode(body(PrimaryKey="18")), "not an integer"),
    "PrimaryKey a double": (encode(body(PrimaryKey=18.7)), "not an integer"),
    "PrimaryKey 18.0": (_text("4711,", "18.0,"), "not an integer"),
    "PrimaryKey false": (encode(body(PrimaryKey=False)), "not an integer"),
    "PrimaryKey in powers of ten": (_text("4711,", "1e3,"), "not an integer"),
    "PrimaryKey of 5,000 digits": (_text("4711,", "7" * 5000 + ","), "more digits"),
    "PrimaryKey of 4,000 digits": (_text("4711,", "7" * 4000 + ","), "64 bits"),
    "PrimaryKey a list": (encode(body(PrimaryKey=[4711])), "not an integer"),
    "PrimaryKey an object": (encode(body(PrimaryKey={})), "not an integer"),
    "PrimaryKey of 65 bits": (encode(body(PrimaryKey=2**63)), "64 bits"),
    "PrimaryKey too negative": (encode(body(PrimaryKey=-(2**63) - 1)), "64 bits"),
    "no Timestamp": (encode(body(Timestamp=...)), "Timestamp is missing"),
    "Timestamp a number": (encode(body(Timestamp=1772442927)), "Timestamp is not a string"),
    "Timestamp a date": (encode(body(Timestamp="20260302")), "not an ISO 8601"),
    "Timestamp in words": (encode(body(Timestamp="yesterday")), "not an ISO 8601"),
    "Timestamp empty": (encode(body(Timestamp="")), "Timestamp is missing"),
    "Timestamp null": (encode(body(Timestamp=None)), "Timestamp is missing"),
    "Timestamp a day": (encode(body(Timestamp="2026-03-02")), "not an ISO 8601"),
    "Timestamp of a week": (encode(body(Timestamp="2026-W10-1T09:15:27Z")), "not an ISO 8601"),
    "Timestamp without seconds": (encode(body(Timestamp="2026-03-02T09:15Z")), "not an ISO 8601"),
    "Timestamp with a line break": (
        encode(body(Timestamp="2026-03-02T09:15:27Z\n")),
        "not an ISO 8601",
    ),
    "Timestamp in small letters": (
        encode(body(Timestamp="2026-03-02t09:15:27z")),
        "not an ISO 8601",
    ),
    "Timestamp in other digits": (
        encode(body(Timestamp="\uff12026-03-02T09:15:27Z")),
        "not an ISO 8601",
    ),
    "Timestamp of .NET": (encode(body(Timestamp="/Date(1772442927123)/")), "not an ISO 8601"),
    "Timestamp of five digits": (
        encode(body(Timestamp="12026-03-02T09:15:27Z")),
        "not an ISO 8601",
    ),
    "hour 25": (encode(body(Timestamp="2026-03-02T25:00:00Z")), "does not exist"),
    "month 13": (encode(body(Timestamp="2026-13-02T09:15:27Z")), "does not exist"),
    "offset of a day": (encode(body(Timestamp="2026-03-02T09:15:27+24:00")), "does not exist"),
    "29 February of another year": (
        encode(body(Timestamp="2026-02-29T00:00:00Z")),
        "does not exist",
    ),
    "30 February": (encode(body(Timestamp="2026-02-30T00:00:00Z")), "does not exist"),
    "leap second": (encode(body(Timestamp="2016-12-31T23:59:60Z")), "does not exist"),
    "year 0001": (encode(body(Timestamp="0001-01-01T00:00:00Z")), "outside the years"),
    "year 0001 east": (encode(body(Timestamp="0001-01-01T00:00:00+02:00")), "does not exist"),
    "year 1000": (encode(body(Timestamp="1000-12-31T00:00:00Z")), "outside the years"),
    "year 9999": (encode(body(Timestamp="9999-12-31T23:59:59Z")), "outside the years"),
    "EventId not a GUID": (encode(body(EventId="12345")), "EventId is not a GUID"),
    "EventId empty": (encode(body(EventId="")), "EventId is not a GUID"),
    "EventId a number": (encode(body(EventId=7)), "EventId is not a string"),
    "EventId of 10 kB": (encode(body(EventId="a" * 10_000)), "EventId is not a GUID"),
    "EventId half in braces": (
        encode(body(EventId="{0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab")),
        "EventId is not a GUID",
    ),
    "EventId a URN": (
        encode(body(EventId="urn:uuid:0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab")),
        "EventId is not a GUID",
    ),
    "EventId with NUL": (_text("@", r"\u0000", EventId="@"), "EventId is not a GUID"),
    "Changes with null": (encode(body(Changes=["name", None])), "Changes is not a list"),
    "Changes a list of lists": (encode(body(Changes=[["name"]])), "Changes is not a list"),
    "Changes true": (encode(body(Changes=True)), "Changes is not a list"),
    "Changes an object": (encode(body(Changes={})), "Changes is not a list"),
    "Changes a string": (encode(body(Changes="name")), "Changes is not a list"),
    "Changes of numbers": (encode(body(Changes=["name", 1])), "Changes is not a list"),
    "Values a list": (encode(body(Values=[1])), "Values is not an object"),
    "FieldValues a string": (encode(body(FieldValues="x")), "FieldValues is not an object"),
    "Values a number": (encode(body(Values=0)), "Values is not an object"),
    "FieldValues a list": (encode(body(FieldValues=[])), "FieldValues is not an object"),
    "ContextIdentifier a number": (
        encode(body(ContextIdentifier=24680)),
        "ContextIdentifier is not a string",
    ),
    "ContextIdentifier false": (
        encode(body(ContextIdentifier=False)),
        "ContextIdentifier is not a string",
    ),
    "associate true": (
        encode(body(ChangedByAssociateId=True)),
        "ChangedByAssociateId is not an integer",
    ),
    "associate a double": (
        encode(body(ChangedByAssociateId=12.0)),
        "ChangedByAssociateId is not an integer",
    ),
    "all null": (encode(dict.fromkeys(body())), "Event is missing"),
    "ContextIdentifier a list": (
        encode(body(ContextIdentifier=["Cust1"])),
        "ContextIdentifier is not a string",
    ),
    "WebhookName an object": (encode(body(WebhookName={})), "WebhookName is not a string"),
    "Entity a number": (encode(body(Entity=5)), "Entity is not a string"),
    "associate a string": (
        encode(body(ChangedByAssociateId="5")),
        "ChangedByAssociateId is not an integer",
    ),
    "associate of 65 bits": (encode(body(ChangedByAssociateId=2**63)), "64 bits"),
}

RECORDED = [pytest.param(raw, flags, id=name) for name, (raw, flags) in _RECORDED.items()]
QUARANTINED = [pytest.param(raw, reason, id=name) for name, (raw, reason) in _QUARANTINED.items()]
