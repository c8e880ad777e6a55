from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superoffice_hooks.wire.values import decode, is_encoded


@pytest.mark.parametrize(
    ("sent", "meaning"),
    [
        ("[I:6]", 6),
        ("[I:-1]", -1),
        ("[F:123.4]", Decimal("123.4")),
        ("[M:123.45]", Decimal("123.45")),
        ("[D:09.11.2017]", date(2017, 11, 9)),
        ("[D:11/09/2017]", date(2017, 11, 9)),
        ("[DT:09/16/2025 14:22:14.0000000]", datetime(2025, 9, 16, 14, 22, 14)),
        ("[DT:09/16/2025 14:22:14.1234567]", datetime(2025, 9, 16, 14, 22, 14, 123456)),
        ("[DT:09/16/2025 14:22:14]", datetime(2025, 9, 16, 14, 22, 14)),
        ("[T:14:52]", time(14, 52)),
        ("[TS:500]", 500),
        ("[A:3,4,5]", [3, 4, 5]),
        ("[A:]", []),
        ("[B:SGVp]", b"Hei"),
        ("0001-01-01T00:00:00", None),
        ("[DT:01/01/0001 00:00:00.0000000]", None),
        ("[D:01.01.0001]", None),
    ],
    ids=str,
)
def test_an_encoded_value_is_decoded(sent, meaning):
    assert decode(sent) == meaning
    assert type(decode(sent)) is type(meaning)
    assert is_encoded(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "BX-[7]",
        "",
        "[]",
        "[I:six]",
        "[I:6",
        "[X:6]",
        "[M:NaN]",
        "[F:1,5]",
        "[D:30.02.2025]",
        "[DT:16/09/2025 14:22:14]",
        "[DT:09/16/2025 14:22:14.x]",
        "[T:25:00]",
        "[A:1,,2]",
        "[B:not base64]",
        "[I:" + "9" * 5000 + "]",
        "2025-05-14T16:07:50.9437543+02:00",
        "2020-02-16T17:50:17",
        "0001-01-01",
        "æøå",
        6,
        6.5,
        True,
        None,
        [1],
        {"a": 1},
    ],
    ids=lambda sent: str(sent)[:40] or "empty",
)
def test_everything_else_is_returned_as_it_came(sent):
    assert decode(sent) is sent
    assert not is_encoded(sent)


@given(st.one_of(st.text(), st.from_regex(r"\A\[(TS|DT|[A-Z]):[^\]]*\]\Z")))
def test_decode_never_raises(text):
    decode(text)
