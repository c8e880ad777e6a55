"""What hypothesis makes up: JSON of any form, damaged bodies, header values, signatures."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.builders import body, encode
from tests.payloads import PAYLOADS

# Any text, lone surrogates and NUL too: JSON can spell them.
TEXTS = st.text(st.characters(), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=10,
)


def _written(wire: Any, ascii_only: bool) -> bytes:
    return json.dumps(wire, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def _merged(wire: dict[str, Any], changes: dict[str, Any], ascii_only: bool) -> bytes:
    return _written(wire | changes, ascii_only)


# Bodies in which some keys hold anything, NaN and all.
OBJECTS = st.builds(
    _merged,
    st.sampled_from([body(), *PAYLOADS]),
    st.dictionaries(st.sampled_from([*body(), "Values"]) | TEXTS, JSON | st.floats(), max_size=4),
    st.booleans(),
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    raw = encode(draw(st.sampled_from(PAYLOADS)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = start + draw(st.integers(0, 20))
        raw = raw[:start] + draw(st.binary(max_size=6) | st.just(raw[end : end + 30])) + raw[end:]
    return raw


DAMAGED = _damaged()

# What a server hands over of a header: Latin-1, whatever the bytes mean.
HEADER_TEXTS = st.text(st.characters(max_codepoint=255), max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("X-SuperOffice-Event", "X-SuperOffice-EventId", "X-SuperOffice-Retry", "X-Hook-Test"),
            *("X-Forwarded-For", "Accept-Language", "Cookie", "Origin", "Referer", "User-Agent"),
            *("Content-Encoding", "Authorization", "X-Other"),
        ]
    ),
    HEADER_TEXTS,
)
