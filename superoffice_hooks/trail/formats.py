"""How the rows of an export are written: NDJSON, which loses nothing, and CSV for spreadsheets."""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from superoffice_hooks.trail.selection import Row


def moment_text(moment: datetime) -> str:
    """Return the moment as it stands in an export and in a place: ISO 8601 in UTC, with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _Encoder(json.JSONEncoder):
    def default(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return moment_text(value)
        return str(value) if isinstance(value, UUID) else super().default(value)


_encode = _Encoder(ensure_ascii=False, separators=(",", ":")).encode


class Format:
    """How rows are written; the bytes of a row are the same whatever comes before and after."""

    name: str
    content_type: str

    def head(self, columns: Sequence[str]) -> bytes:
        """Return what stands before the first row."""
        return b""

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return the lines of these rows."""
        raise NotImplementedError


class Ndjson(Format):
    """A JSON object a line, lossless: every value is of the type and the precision it came in."""

    name = "ndjson"
    content_type = "application/x-ndjson"

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return an object for each row."""
        lines = [_encode({name: row[name] for name in columns}) for row in rows]
        return "\n".join([*lines, ""]).encode()


class Csv(Format):
    """RFC 4180 for spreadsheets: lists and objects are JSON in their cells, formulas are text.

    It begins with a byte order mark, without which Excel reads UTF-8 as the code page of its
    country. Nothing of a text is lost but that an apostrophe can be added: see ``guarded``.
    """

    name = "csv"
    content_type = "text/csv; charset=utf-8"

    def head(self, columns: Sequence[str]) -> bytes:
        """Return the byte order mark and the names of the columns."""
        return b"\xef\xbb\xbf" + self._written([columns])

    def lines(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """Return a line for each row; a line break within a cell is not its end."""
        return self._written([_cell(row[name]) for name in columns] for row in rows)

    def _written(self, rows: Iterable[Sequence[Any]]) -> bytes:
        lines = _Lines()
        csv.writer(lines).writerows(rows)
        return "".join(lines).encode()


class _Lines(list[str]):
    # StringIO takes four bytes for each character.
    write = list.append


NDJSON, CSV = Ndjson(), Csv()
FORMATS: dict[str, Format] = {format.name: format for format in (NDJSON, CSV)}


def _cell(value: Any) -> int | str:
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, int) or value is None:
        return "" if value is None else value
    if isinstance(value, datetime):
        return moment_text(value)
    return str(value) if isinstance(value, UUID) else guarded(_encode(value))


# What a spreadsheet may skip before a formula: white space, what cannot be seen, and a quote.
_SKIPPED = r"\s\x00-\x1f\u200b\ufeff\""
_FORMULA = r"=+\-@＝＋－＠"  # noqa: RUF001  # full-width, as East Asian keyboards give them
_AT_THE_BEGINNING = re.compile(rf"[{_SKIPPED}]*[{_FORMULA}]|[{_SKIPPED}]*?[\t\r\n]")
# A run is looked at once, from its beginning: a body may be megabytes of line breaks.
_WITHIN = re.compile(rf"(?<![;{_SKIPPED}])[;{_SKIPPED}]+(?=[{_FORMULA}])")


def guarded(text: str) -> str:
    """Return the text so that no spreadsheet takes it, or a part of it, for a formula.

    An apostrophe goes before what begins like one, and within the text where a formula would begin
    for a spreadsheet that parts cells at semicolons or tabs, as Excel does in half of Europe.
    """
    if ";" in text or "\t" in text or "\n" in text or "\r" in text:
        text = _WITHIN.sub(_with_apostrophe, text)
    return f"'{text}" if _AT_THE_BEGINNING.match(text) else text


def _with_apostrophe(run: re.Match[str]) -> str:
    parts = any(separator in run[0] for separator in ";\t\r\n")
    return f"{run[0]}'" if parts else run[0]
