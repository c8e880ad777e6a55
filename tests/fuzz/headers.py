"""Made-up headers around an ordinary body: junk in their values, and signatures that are none.

Each set is determined by its seed and its number alone. A value is any Latin-1, which is what a
server hands over. Content-Type is one that Django reads: for parameters in the form of RFC 2231 it
may turn a request away before any site sees it.
"""

import base64
import hmac
from dataclasses import dataclass
from random import Random

from tests.fuzz import bodies

CHARACTERS = [character for character in bodies.CHARACTERS if ord(character) < 256]
SIGNATURE = "X-SuperOffice-Signature"
MAX_SIGNATURES = 4
NAMES = (
    *("X-SuperOffice-Event", "X-SuperOffice-EventId", "X-SuperOffice-Retry", "X-Hook-Test"),
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "User-Agent"),
    *("Accept", "Accept-Language", "Accept-Encoding", "Authorization", "Cookie", "Origin"),
    *("Referer", "Content-Encoding", "Range", "If-Match", "If-None-Match", "If-Modified-Since"),
    *("Expect", "Upgrade", "X-HTTP-Method-Override", "X-Requested-With", "X-CSRFToken", "Via"),
    *("Sec-Fetch-Site", "Sec-Fetch-Mode", "Date", "Digest", "Content-Language", "Traceparent"),
)
WORDS = (
    *(
        "",
        " ",
        ",",
        "true",
        "-1",
        "9" * 400,
        "*",
        "null",
        "gzip",
        "bytes=5-1",
        "https://[",
        "nb-NO",
    ),
    *("0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab", "contact.changed", "127.0.0.1, ::1", "csrftoken=x"),
    *("a\r\nX-Forged: yes", "\x1b[2J", "=?utf-8?q?=00?=", "%00", "Basic =", 'a="', "../..", "{}"),
)
CONTENT_TYPES = (
    *("", "application/json", "application/json; charset=utf-8", "text/plain; charset=utf-16"),
    *(
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
    ),
    *("a; charset=nonsense", "image/png", ";;=;", 'a; b="', "\xff/\xfe"),
)


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """Headers by their names, and whether they prove who sent the body."""

    headers: dict[str, str]
    content_type: str
    is_authentic: bool


def make(seed: int, number: int, raw: bytes, secret: str) -> HeaderSet:
    """Return the set of this number for this body."""
    random = Random(f"{seed} headers {number}")
    # Computed here once more, since what is tested must not be asked for the truth.
    right = base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()
    headers = {
        random.choice(NAMES) if random.random() < 0.8 else f"X-{random.randrange(1000)}": _value(
            random
        )
        for _ in range(random.choice((0, 1, 3, 8, 80)))
    }
    signature = _signature(right, random)
    if signature is not None:
        headers[SIGNATURE] = signature
    candidates = (signature or "").split(",")[:MAX_SIGNATURES]
    return HeaderSet(
        headers=headers,
        content_type=random.choice(CONTENT_TYPES),
        is_authentic=right in [candidate.strip() for candidate in candidates],
    )


def _signature(right: str, random: Random) -> str | None:
    kind = random.randrange(12)
    if kind < 3:
        return right
    if kind == 3:
        return None
    if kind == 4:
        return _value(random)
    if kind == 5:
        place = random.randrange(len(right))
        return right[:place] + random.choice(CHARACTERS) + right[place + 1 :]
    if kind == 6:
        return base64.b64encode(random.randbytes(32)).decode()
    if kind == 7:
        return random.choice((right[:-1], right + "=", right.swapcase(), f'"{right}"', right * 2))
    if kind == 8:
        start = random.randrange(len(right))
        return right[:start] + _value(random) + right[start:]
    others = [_value(random) for _ in range(random.randint(0, 6))]
    others.insert(random.randint(0, len(others)), right if kind < 11 else right[::-1])
    return ",".join(others)


def _value(random: Random) -> str:
    if random.random() < 0.4:
        return random.choice(WORDS)
    if random.random() < 0.05:
        return random.choice(CHARACTERS) * random.choice((1024, 1025, 8000))
    characters = random.choices(range(256), k=random.choice((1, 3, 8, 40)))
    if random.random() < 0.2:
        return "".join(random.choices(CHARACTERS, k=8))
    return bytes(characters).decode("latin-1")
