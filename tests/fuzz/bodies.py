"""Made-up bodies: real ones bent by their structure and by their bytes.

Each is determined by its seed and its number alone, so that any one can be made again.
"""

import gzip
import json
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

from tests.payloads import PAYLOADS

REACH = 50  # how far back a body may repeat another
# Characters that some layer between the socket and a column takes for something else.
CHARACTERS = (
    "\0\x01\x08\t\n\r\x1b \"'\\/%&;<=>[]`{}~\x7f\x80\x85\xa0\xad\xe6\xff\u0130\u0301\u200b\u200d"
    "\u202e\u2028\u2029\ud800\udbff\udc00\udfff\ufeff\ufffd\ufffe\uffff\U0001f680\U0010ffff09aZ"
)
NUMBERS = (
    *("0", "-0", "-1", "1.0", "-0.0", "1e5", "1E-5", "0.1", "18.7", "1e308", "1e309", "-1e309"),
    *("5e-324", "1e-400", "1e99999999999999999999", "9007199254740993", "9007199254740993.0"),
    *("2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("-9223372036854775809", "18446744073709551616", "7" * 400, "7" * 4300, "7" * 4301),
    *("NaN", "Infinity", "-Infinity", "007", "+1", "1.", ".5", "0x1F", "1_000", "1e", "--1"),
)
TOKENS = (
    *(
        b"\0",
        b"\\u0000",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\",
        b"\\x",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b",", b":", b"null", b"true", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\xed\xa0\x80"),
    *(
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x9a\x80",
        b"\x80",
        b"/**/",
        b"\r\n",
        b"\xe2\x80",
    ),
    *(b'"Event":', b'"EventId":', b'"Event":"test",', b'"FieldValues":{', b"[" * 40, b'{"":' * 40),
    *(number.encode() for number in NUMBERS if len(number) < 50),
)
MOMENTS = (
    *("2026-03-02T09:15:27.1234567Z", "2026-03-02T09:15:27", "2026-03-02 09:15:27,5+0130"),
    *("0001-01-01T00:00:00", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59.9999999-12:00"),
    *(
        "2026-02-30T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-03-02",
        "20260302T091527Z",
        "yesterday",
    ),
    *("2026-03-02T24:00:00Z", "2026-03-02T09:15:27+24:00", "1000-12-31T23:59:59Z", ""),
)
GUIDS = (
    *("", "0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab", "{0B7C1A52-3A55-4B14-8DF0-2F6F1A54C0AB}"),
    *(" 0b7c1a523a554b148df02f6f1a54c0ab\n", "0" * 32, "f" * 32, "0b7c1a52", "g" * 32, "1" * 300),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig", "latin-1")
LITERAL = "\ue000"  # stands for a number that json.dumps would not write


def make(seed: int, number: int) -> bytes:
    """Return the body of this number."""
    random = Random(f"{seed} body {number}")
    chance = random.random()
    if chance < 0.06 and number >= REACH:
        # Of an earlier body again: as it was, damaged, or with another word said about it.
        earlier = make(seed, number - random.randint(1, REACH))
        return earlier if random.random() < 0.5 else _damage(earlier, random)
    if chance < 0.08:
        return random.randbytes(random.randint(0, 200))
    if chance < 0.10:
        return _encode(_value(random, 0), random)
    wire = dict(random.choice(PAYLOADS))
    wire["EventId"] = str(UUID(int=random.getrandbits(128)))
    if chance > 0.25:
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            random.choice(CHANGES)(wire, random)
    raw = _encode(wire, random)
    return _damage(raw, random) if chance > 0.75 else raw


def _set_known(wire: dict[str, Any], random: Random) -> None:
    """Give one of SuperOffice's own keys a value of any type."""
    wire[random.choice(list(wire) or ["Event"])] = _value(random, 0)


def _set_plausible(wire: dict[str, Any], random: Random) -> None:
    """Give a key a value that is nearly right."""
    key, values = random.choice(
        (
            ("Timestamp", MOMENTS),
            ("EventId", GUIDS),
            ("PrimaryKey", tuple(f"{LITERAL}{number}" for number in NUMBERS)),
            ("ChangedByAssociateId", tuple(f"{LITERAL}{number}" for number in NUMBERS)),
            ("Event", ("test", "Test", ".", "a.", ".b", "a.b.c", "webhook19.errors")),
            ("ContextIdentifier", ("", "Default", "cust24680", "Cust24680 ", "Cust24680\0")),
        )
    )
    wire[key] = random.choice(values)


def _drop(wire: dict[str, Any], random: Random) -> None:
    if wire:
        del wire[random.choice(list(wire))]


def _rename(wire: dict[str, Any], random: Random) -> None:
    if wire:
        key = random.choice(list(wire))
        wire[random.choice((key.lower(), f"{key} ", f"{key}\0", _text(random)))] = wire.pop(key)


def _set_further_in(wire: dict[str, Any], random: Random) -> None:
    """Put anything among the values or the changed fields."""
    key = random.choice(("FieldValues", "Values", "Changes"))
    into = wire.get(key)
    if key == "Changes":
        wire[key] = [*(into if isinstance(into, list) else ()), _text(random)]
    else:
        held = into if isinstance(into, dict) else {}
        wire[key] = {**held, _text(random): _value(random, 1)}


def _add(wire: dict[str, Any], random: Random) -> None:
    wire[_text(random)] = _value(random, 0)


def _swell(wire: dict[str, Any], random: Random) -> None:
    """Make more or longer of something than there are rows, levels or characters for."""
    size = random.choice((40, 256, 300, 2_100))
    wire[random.choice(("FieldValues", "Values", "Changes", "WebhookName", "Event"))] = (
        random.choice(
            (
                [f"f{number}" for number in range(size)],
                {f"f{number}": number for number in range(size)},
                random.choice(CHARACTERS) * size,
                {"a": json.loads("[" * min(size, 40) + "]" * min(size, 40))},
                {f"a{number}.person_id": number for number in range(size)},
            )
        )
    )


CHANGES: tuple[Callable[[dict[str, Any], Random], None], ...] = (
    *(_set_known, _set_plausible, _set_plausible, _set_further_in, _set_further_in),
    *(_drop, _rename, _add, _swell),
)


def _value(random: Random, depth: int) -> Any:
    kind = random.randrange(8 if depth < 4 else 5)
    if kind < 2:
        return _text(random)
    if kind == 2:
        return f"{LITERAL}{random.choice(NUMBERS)}"
    if kind == 3:
        return random.choice((None, True, False, [], {}, "", 0, -1))
    if kind == 4:
        return random.choice(
            (random.getrandbits(70), random.uniform(-1e9, 1e9), random.choice(MOMENTS))
        )
    if kind == 5:
        return [_value(random, depth + 1) for _ in range(random.randint(0, 4))]
    return {_text(random): _value(random, depth + 1) for _ in range(random.randint(0, 4))}


def _text(random: Random) -> str:
    length = random.choice((0, 1, 1, 2, 3, 5, 8, 13, 300))
    return "".join(random.choices(CHARACTERS, k=length))


def _encode(wire: Any, random: Random) -> bytes:
    """Write it as JSON one way or another; rarely in another encoding, or compressed."""
    text = json.dumps(wire, ensure_ascii=random.random() < 0.5)
    for mark in (LITERAL, "\\ue000"):  # a number for the string that stands for it
        head, *rest = text.split(f'"{mark}')
        text = head + "".join(part.replace('"', "", 1) for part in rest)
    if random.random() < 0.05:
        text = _twice(text, random)
    if random.random() < 0.9:
        return text.encode("utf-8", "surrogatepass")
    if random.random() < 0.5:
        encoding = random.choice(ENCODINGS)
        errors = "replace" if encoding == "latin-1" else "surrogatepass"
        return text.encode(encoding, "replace" if encoding == "utf-8-sig" else errors)
    return gzip.compress(text.encode("utf-8", "surrogatepass"), 1, mtime=0)


def _twice(text: str, random: Random) -> str:
    """Name one key twice."""
    key = random.choice(("EventId", "Event", "PrimaryKey", "Changes", "contact_id", "Other"))
    return text.replace("{", f'{{"{key}": {random.choice(("1", "null", "[]"))}, ', 1).replace(
        "{", f'{{"{key}": {random.choice(("1", "null", "[]"))}, ', random.randint(0, 1)
    )


def _damage(raw: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 4))):
        start = random.randint(0, len(raw))
        end = min(len(raw), start + random.choice((0, 1, 1, 2, 8, 64)))
        kind = random.randrange(6)
        if kind == 0:
            raw = raw[:start] + random.choice(TOKENS) + raw[end:]
        elif kind == 1:
            raw = raw[:start] + raw[end:]
        elif kind == 2:
            raw = raw[:start] + random.randbytes(end - start) + raw[end:]
        elif kind == 3:
            raw = raw[:end] + raw[start:]
        elif kind == 4:
            raw = raw[:start] if random.random() < 0.5 else raw[start:]
        elif start < len(raw):
            raw = raw[:start] + bytes([raw[start] ^ 1 << random.randrange(8)]) + raw[start + 1 :]
    return raw
