"""Where the bars of a chart stand."""

import pytest
from django.utils import translation

from superoffice_hooks.admin.charts import Bars, Column, Columns, Figure, Series, number, scale


def columns(*stacks):
    """A chart of two series with these counts in its columns."""
    return Columns(
        id="c",
        title="",
        description="",
        caption="",
        heading="",
        series=(Series("low", "so-c1", Figure(0)), Series("high", "so-c2", Figure(0))),
        columns=tuple(
            Column(f"label {index}", "", tuple(map(Figure, stack)), Figure(sum(stack)))
            for index, stack in enumerate(stacks)
        ),
    )


def bars(*counts):
    return Bars("b", "", "", "", "", "so-c1", [(str(count), Figure(count)) for count in counts])


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 2), (1, 2), (2, 2), (3, 4), (11, 12), (13, 16), (16, 16), (17, 20), (99, 100), (101, 120),
     (1_601, 2_000), (100_000, 100_000), (10**18 + 1, 12 * 10**17)],
)  # fmt: skip
def test_a_scale_ends_at_a_round_number_with_a_whole_half(most, top):
    assert scale(most) == top


def test_a_scale_is_never_too_low_nor_half_empty():
    for most in range(1, 5_000):
        top = scale(most)
        assert most <= top <= max(2 * most, 2)
        assert top % 2 == 0


def test_parts_stand_on_each_other_and_the_tallest_column_fits():
    lower, upper, second = columns((40, 40), (0, 20)).blocks
    assert (lower.colour, lower.y, lower.height) == ("so-c1", "90", "89")
    assert (upper.colour, upper.y, upper.height) == ("so-c2", "0", "89")
    assert (second.colour, second.y, second.height) == ("so-c2", "135", "44")
    assert (lower.x, lower.width) == (upper.x, upper.width) == ("5%", "40%")
    assert second.x == "55%"


def test_one_event_beside_a_thousand_is_seen():
    heights = [float(block.height) for block in columns((1000, 1), (1, 0)).blocks]
    assert min(heights) >= 1.5


def test_there_are_no_more_labels_than_room_for_them():
    for count in range(1, 63):
        labels = columns(*[(1, 0)] * count).labels
        assert min(count, 5) <= len(labels) <= 8
        assert labels[0].text == "label 0"
        assert [label.is_between for label in labels[:3]] == [False, True, False][: len(labels)]
        assert {label.anchor for label in labels} == {"middle" if count <= 8 else "start"}


def test_a_chart_without_columns_is_no_error():
    empty = columns()
    assert (empty.blocks, empty.labels, empty.ticks) == ([], [], ["2", "1", "0"])


def test_bars_are_as_wide_as_their_share_of_the_longest():
    chart = bars(30, 10, 0)
    assert [row.width for row in chart.rows] == ["100%", "33.333%", "0%"]
    assert [row.y for row in chart.rows] == ["0", "38", "76"]
    assert chart.height == "114"
    assert [row.width for row in bars(0, 0).rows] == ["0%", "0%"]
    assert bars().rows == []


def test_lengths_are_written_for_a_browser_and_numbers_for_a_reader(settings):
    settings.USE_THOUSAND_SEPARATOR = True
    with translation.override("de"):
        chart = columns(*[(3_333, 1)] * 7)
        assert chart.ticks == ["4.000", "2.000", "0"]
        assert number(1_234_567) == "1.234.567"
        for block in chart.blocks:
            float(block.x.removesuffix("%")), float(block.width.removesuffix("%"))
            float(block.y), float(block.height)
        assert bars(3, 1).rows[1].width == "33.333%"
