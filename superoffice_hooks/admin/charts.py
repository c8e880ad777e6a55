"""Charts without a script: where the bars stand, for templates that write SVG.

Lengths across are per cent of the chart's width and lengths down are pixels, so that a chart fits
a phone and its text keeps its size. They are texts: a template would write numbers with a comma
where the reader's language has one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import formats

COLUMN_HEIGHT = 180  # pixels that the tallest column may have
COLUMN_GAP = 0.2  # of a column's share of the width
MIN_HEIGHT = 1.5  # pixels, so that one event beside a thousand is seen
MAX_LABELS = 8  # below the columns; more would run into each other
ROW_HEIGHT = 38
BAR_HEIGHT = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a chart: its name in words, and the list with as many rows, if there is one."""

    count: int
    name: str = ""
    url: str = ""

    def __str__(self) -> str:
        return number(self.count)


@dataclass(frozen=True, slots=True)
class Series:
    """One of the parts that each column has, and its colour."""

    label: str
    colour: str
    total: Figure


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart: ``label`` for the axis, ``heading`` for the table.

    ``parts`` are in the order of the series, the lowest first.
    """

    label: str
    heading: str
    parts: tuple[Figure, ...]
    total: Figure


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a chart that leads to a list."""

    figure: Figure
    colour: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text below a column; every second one ``is_between``, and gives way on a phone."""

    text: str
    x: str
    anchor: str
    is_between: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of stacked parts over an axis of time."""

    id: str
    title: str
    description: str
    caption: str
    heading: str
    series: tuple[Series, ...]
    columns: tuple[Column, ...]

    @property
    def top(self) -> int:
        """The number at the upper end of the scale."""
        return scale(max((column.total.count for column in self.columns), default=0))

    @property
    def ticks(self) -> list[str]:
        """The numbers of the scale, from the top to zero."""
        return [number(self.top), number(self.top // 2), number(0)]

    @property
    def blocks(self) -> list[Block]:
        """The parts of the columns that are not empty."""
        return [block for index in range(len(self.columns)) for block in self._stack(index)]

    def _stack(self, index: int) -> Iterable[Block]:
        share = 100 / len(self.columns)
        foot = float(COLUMN_HEIGHT)
        for series, figure in zip(self.series, self.columns[index].parts, strict=True):
            if figure.count:
                height = max(figure.count * COLUMN_HEIGHT / self.top, MIN_HEIGHT)
                foot -= height
                yield Block(
                    figure,
                    series.colour,
                    x=percent(share * (index + COLUMN_GAP / 2)),
                    y=pixels(foot),
                    width=percent(share * (1 - COLUMN_GAP)),
                    # A line of the page between the parts, where there is room for one.
                    height=pixels(height - 1 if height > 4 else height),
                )

    @property
    def labels(self) -> list[Label]:
        """As many of the columns' labels as there is room for."""
        share = 100 / len(self.columns) if self.columns else 0
        every = -(-len(self.columns) // MAX_LABELS) or 1
        # Beside a narrow column, a text in the middle would begin left of the chart.
        middle = every == 1
        return [
            Label(
                column.label,
                percent(share * (index + (0.5 if middle else COLUMN_GAP / 2))),
                "middle" if middle else "start",
                is_between=index // every % 2 == 1,
            )
            for index, column in enumerate(self.columns)
            if index % every == 0
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """One bar of a chart with its label above it; ``y`` is where it begins."""

    label: str
    figure: Figure
    y: str
    width: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars below each other, each with its label and number."""

    id: str
    title: str
    description: str
    caption: str
    heading: str
    colour: str
    figures: Sequence[tuple[str, Figure]]

    @property
    def height(self) -> str:
        """The height of the chart."""
        return str(ROW_HEIGHT * len(self.figures))

    @property
    def rows(self) -> list[Row]:
        """The bars from the top; the longest is as wide as the chart."""
        most = max((figure.count for _, figure in self.figures), default=0) or 1
        return [
            Row(label, figure, str(ROW_HEIGHT * index), percent(100 * figure.count / most))
            for index, (label, figure) in enumerate(self.figures)
        ]


def scale(most: int) -> int:
    """Return a round, even number that is at least ``most``, and at least 2."""
    power = 1
    while most > 16 * power:
        power *= 10
    return next(half for half in (1, 2, 3, 4, 5, 6, 8) if 2 * half * power >= most) * 2 * power


def number(count: int) -> str:
    """Return the number as the reader's language writes it."""
    return formats.number_format(count, use_l10n=True, force_grouping=True)


def percent(value: float) -> str:
    """Return a share of the chart's width."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def pixels(value: float) -> str:
    """Return a length in pixels."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
