"""How a value of an event reads."""

import pytest

from superoffice_hooks.trail.values import ShownValue, shown


def test_values_stand_in_the_order_of_their_names():
    assert [value.name for value in shown({"b": 1, "a": 2, "B": 3})] == ["B", "a", "b"]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        ("[not encoded]", '"[not encoded]"'),
        ("[I:six]", '"[I:six]"'),
        ("Blåbær \N{GRINNING FACE}", '"Blåbær \N{GRINNING FACE}"'),
        ("2026-03-02T00:00:00", '"2026-03-02T00:00:00"'),
        (2**60 + 1, str(2**60 + 1)),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
    ],
)
def test_a_plain_value_is_shown_as_it_was_sent_and_nothing_more(value, sent):
    assert shown({"field": value}) == [ShownValue("field", sent, None)]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("[I:6]", "6"),
        ("[M:123.40]", "123.40"),
        ("[F:0.5]", "0.5"),
        ("[D:03/02/2026]", "2026-03-02"),
        ("[DT:03/02/2026 09:15:27]", "2026-03-02 09:15:27"),
        ("[DT:03/02/2026 09:15:27.1234567]", "2026-03-02 09:15:27.123456"),
        ("[T:09:15:27]", "09:15:27"),
        ("[TS:500]", "500"),
        ("[A:1,2,3]", "1, 2, 3"),
        ("[A:]", ""),
        ("[B:AP8=]", "00 ff"),
        ("0001-01-01T00:00:00", ""),
        ("[DT:01/01/0001 00:00:00.0000000]", ""),
    ],
)
def test_an_encoded_value_is_shown_as_it_was_sent_with_its_meaning(value, meaning):
    assert shown({"field": value}) == [ShownValue("field", f'"{value}"', meaning)]


def test_no_values_are_no_rows():
    assert shown({}) == []
