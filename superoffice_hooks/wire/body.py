"""One body, from bytes to a JSON object that every database can store.

Whatever JSON can do to a receiver is settled here: deep nesting, ``NaN``, integers of five
thousand digits, lone surrogates, NUL, keys given twice, compression. The bytes themselves are
kept elsewhere, unchanged; what cannot be kept exactly in a column is shown with a visible
substitute, and a ``Flag`` says so. JSON is RFC 8259.
"""

import enum
import json
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from superoffice_hooks.exceptions import PayloadError

MAX_DEPTH: Final = 30  # MariaDB's JSON columns refuse more than 32 levels.
MAX_UNPACKED: Final = 10 * 1024 * 1024  # bytes out of a gzip body; 100 MB fit in 100 kB


class Flag(enum.StrEnum):
    """What a reader of the rows must know about how they differ from the bytes."""

    LOSSY = "lossy"  # a text or a number is shown by a substitute
    CAPPED = "capped"  # more changed fields or deleted values came than are kept as rows
    DUPLICATE_KEYS = "duplicate_keys"  # a JSON object names a key twice; the last value counts
    ASSUMED_UTC = "assumed_utc"  # the Timestamp has no offset
    ENCODED = "encoded"  # the body is compressed, or not plain UTF-8


def read_object(body: bytes, flags: set[Flag], identity: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object that these bytes spell, or raise ``PayloadError``.

    ``identity`` are the keys of the object that must not be given twice. ``flags`` takes up what
    differs between the bytes and the result.
    """
    text = _decode(body, flags)
    _refuse_deep_nesting(text)
    outermost: list[tuple[str, Any]] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal outermost
        outermost = pairs  # the parser closes the outermost object last
        result = dict(pairs)
        if len(result) != len(pairs):
            flags.add(Flag.DUPLICATE_KEYS)
        return result

    def number(digits: str) -> float | str:
        exact = _exact_float(digits)
        if exact is None:
            flags.add(Flag.LOSSY)
            return digits
        return exact

    try:
        result = json.loads(
            text, object_pairs_hook=mapping, parse_float=number, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise PayloadError(f"The body is not JSON: {error.msg}", error.pos) from None
    except ValueError:
        raise PayloadError("The body holds an integer of more digits than Python reads.") from None
    if not isinstance(result, dict):
        raise PayloadError("The body is JSON, but not an object.")
    if Flag.DUPLICATE_KEYS in flags:
        keys = [key for key, _ in outermost]
        for key in identity:
            if keys.count(key) > 1:
                raise PayloadError(f"{key} is given more than once.")
    # Only escapes, and bytes that are half of a character, can bring what a column refuses.
    if "\\u" in text or Flag.LOSSY in flags:
        storable: dict[str, Any] = _storable(result, flags)
        return storable
    return result


def _decode(body: bytes, flags: set[Flag]) -> str:
    """Decode by what the bytes are: neither Content-Type nor Content-Encoding is signed."""
    if body.startswith(b"\x1f\x8b"):
        body = _unzip(body)
        flags.add(Flag.ENCODED)
    encoding = json.detect_encoding(body)
    if encoding != "utf-8":
        flags.add(Flag.ENCODED)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        try:  # Half a surrogate pair is the one damage that can be shown in its place.
            text = body.decode(encoding, "surrogatepass")
        except UnicodeDecodeError:
            raise PayloadError(f"The body is not {encoding.upper()}", error.start) from None
        flags.add(Flag.LOSSY)
        return text


def _unzip(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        unpacked = unzip.decompress(body, MAX_UNPACKED)
    except zlib.error:
        raise PayloadError("The body starts like gzip and cannot be unpacked.") from None
    if not unzip.eof:
        raise PayloadError(f"The body is cut off or unpacks to more than {MAX_UNPACKED} bytes.")
    return unpacked


# Possessive, so that a string of ten million escapes costs no memory.
_STRING_OR_BRACKET = r'"(?:[^"\\]++|\\.)*+"?|[][{}]'


def _refuse_deep_nesting(text: str) -> None:
    """Count the levels before the parser meets them: it fails at a depth that varies by caller."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for found in re.finditer(_STRING_OR_BRACKET, text, re.DOTALL):
        if found[0] in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise PayloadError(f"The body nests deeper than {MAX_DEPTH} levels", found.start())
        elif found[0] in ("]", "}"):
            depth -= 1


def _refuse_constant(name: str) -> Any:
    raise PayloadError(f"The body is not JSON: {name} is not a number.")


def _exact_float(digits: str) -> float | None:
    """Return the double that is this number, or ``None`` where every double differs from it."""
    number = float(digits)
    try:
        exact = Decimal(digits) == Decimal(repr(number))
    except ArithmeticError:  # an exponent beyond Decimal's own range
        return None
    return number if exact else None


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(value: Any, flags: set[Flag]) -> Any:
    """Replace, at any depth, what no text column holds: NUL and lone surrogates."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value) is None:
            return value
        flags.add(Flag.LOSSY)
        value = value.replace("\0", "\N{SYMBOL FOR NULL}")
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_storable(item, flags) for item in value]
    if isinstance(value, dict):
        return {_storable(key, flags): _storable(item, flags) for key, item in value.items()}
    return value
