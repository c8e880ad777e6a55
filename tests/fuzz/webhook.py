"""Posts made-up deliveries through the whole site, and looks for every byte in the database.

A delivery passes the view, the signature, the parser and the database of the site that it runs in;
made-up headers pass the site's middleware and URLs before that. What is authentic must be answered
200 and stored as it was sent, and what is not must be answered 401 and be no event.
"""

import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from hashlib import sha256

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.test import RequestFactory

from superoffice_hooks.intake.view import webhook
from superoffice_hooks.models import (
    ChangedField,
    DeletedValue,
    Delivery,
    Event,
    Outcome,
    RelatedRecord,
)
from superoffice_hooks.wire.payload import parse
from superoffice_hooks.wire.signature import sign
from tests.builders import URL, body, encode
from tests.fuzz import bodies, headers

MAX_SHOWN = 2_000  # characters of a counterexample
BATCH = 500  # posts after which the database is compared and emptied
COLUMNS = (
    *("name", "entity", "action", "primary_key", "context_identifier", "webhook_name"),
    *("changed_by_associate_id", "occurred_at", "field_values", "properties"),
)


JSON_COLUMNS = ("field_values", "properties")


class Counterexample(Exception):  # noqa: N818  # it is what was looked for
    """A delivery that was not answered, or not stored, as it must be."""


@dataclass(frozen=True, slots=True)
class Batch:
    """So many deliveries of one kind, "bodies" or "headers", from this number on."""

    kind: str
    seed: int
    first: int
    size: int

    @property
    def command(self) -> str:
        """What makes the same again."""
        sizes = {"bodies": 0, "headers": 0, self.kind: self.size}
        options = " ".join(f"--{kind} {size}" for kind, size in sizes.items())
        return f"python -m tests.fuzz --seed {self.seed} --first {self.first} {options}"


@dataclass(frozen=True, slots=True)
class Posted:
    """What was sent, and what was answered."""

    number: int
    raw: bytes
    is_authentic: bool
    status: int
    text: str


@dataclass(slots=True)
class Tally:
    """How many deliveries had which outcome, and why; ``failure`` is the first that was wrong."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def add(self, other: "Tally") -> None:
        """Take up the counts of another, and its failure where there was none."""
        self.outcomes += other.outcomes
        self.reasons += other.reasons
        self.failure = self.failure or other.failure


class _Lines(logging.Handler):
    """Writes every record as a file would, and keeps what would not be one line of text."""

    def __init__(self) -> None:
        super().__init__()
        self.odd: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        # Only a traceback may have more than one line, and none is expected.
        if any(unicode_break in line for unicode_break in "\r\n\0\x1b") or not _is_utf8(line):
            self.odd.append(line)


def run(batch: Batch) -> Tally:
    """Post the batch and compare it with the database, which is empty before and afterwards."""
    tally, lines, posted = Tally(), _Lines(), []
    root = logging.getLogger()
    root.addHandler(lines)
    try:
        for number in range(batch.first, batch.first + batch.size):
            posted.append(_post(batch, number))
            if lines.odd:
                raise Counterexample(f"{_shown(posted[-1])}\nwas logged as {_cut(lines.odd[0])}.")
        _compare(posted)
    except Counterexample as failure:
        tally.failure = f"{failure}\nThe same again: {batch.command}"
    finally:
        root.removeHandler(lines)
        empty()
    for each in posted:
        outcome, _, reason = each.text.strip().partition(": ")
        tally.outcomes[outcome if each.status == 200 else str(each.status)] += 1
        if reason:
            tally.reasons[re.sub(r"\d+", "n", reason)] += 1
    return tally


def empty() -> None:
    """Delete everything that deliveries leave behind, at once."""
    for model in (RelatedRecord, ChangedField, DeletedValue, Delivery, Event):
        rows = model._default_manager.all()
        rows._raw_delete(rows.db)


def _post(batch: Batch, number: int) -> Posted:
    if batch.kind == "bodies":
        raw = bodies.make(batch.seed, number)
        signature = {headers.SIGNATURE: sign(raw, settings.SECRET)}
        sent = headers.HeaderSet(signature, "application/json; charset=utf-8", True)
    else:
        raw = encode(body(PrimaryKey=number))
        sent = headers.make(batch.seed, number, raw, settings.SECRET)
    try:
        request = RequestFactory().generic(
            "POST", URL, raw, sent.content_type, headers=sent.headers
        )
        # A body is nothing to the middleware, and there are many.
        answer = webhook if batch.kind == "bodies" else handler().get_response
        response = answer(request)
    except Exception as error:
        shown = f"{_cut(raw)}\nwith {_cut(sent.headers)}"
        raise Counterexample(f"{shown}\nraised {_cut(error)}.") from error
    text = getattr(response, "content", b"").decode()
    posted = Posted(number, raw, sent.is_authentic, response.status_code, text)
    if posted.status != (200 if posted.is_authentic else 401):
        raise Counterexample(f"{_shown(posted)}\nwith {_cut(sent.headers)}\nwas answered so.")
    return posted


@cache
def handler() -> BaseHandler:
    """The site's middleware and views; a request neither opens nor closes a connection."""
    made = BaseHandler()
    made.load_middleware()
    return made


def _compare(posted: list[Posted]) -> None:
    """Find each authentic delivery in the database, in the order of their posting."""
    authentic = [each for each in posted if each.is_authentic]
    proven = Delivery.objects.exclude(outcome=Outcome.REFUSED).select_related("event")
    stored = list(proven.order_by("pk"))
    for each, delivery in zip(authentic, stored, strict=False):
        if sha256(each.raw).digest() != sha256(bytes(delivery.body)).digest():
            raise Counterexample(f"{_shown(each)}\nis stored as {_cut(bytes(delivery.body))}.")
        reason = f": {delivery.reason}" if delivery.reason else ""
        if each.text != f"{delivery.outcome}{reason}\n":
            raise Counterexample(f"{_shown(each)}\nis stored as {delivery.outcome}{reason}.")
        _compare_event(each, delivery)
    if len(authentic) > len(stored):
        raise Counterexample(f"{_shown(authentic[len(stored)])}\nis not in the database.")
    if len(authentic) < len(stored):
        raise Counterexample(f"There are {len(stored)} deliveries of {len(authentic)} posts.")
    unproven = {each.raw for each in posted if not each.is_authentic}
    for refused in Delivery.objects.filter(outcome=Outcome.REFUSED):
        if bytes(refused.body) not in unproven:
            raise Counterexample(f"{_cut(bytes(refused.body))}\nwas refused, and never posted so.")
    recorded = sum(delivery.outcome == Outcome.RECORDED for delivery in stored)
    if (events := Event.objects.count()) != recorded:
        raise Counterexample(f"There are {events} events of {recorded} recorded deliveries.")


def _compare_event(each: Posted, delivery: Delivery) -> None:
    """What the rows say is what the parser says of the bytes."""
    if delivery.outcome != Outcome.RECORDED:
        return
    payload, event = parse(each.raw), delivery.event
    for column in COLUMNS:
        held, said = getattr(event, column), getattr(payload, column)
        if held != said and (column not in JSON_COLUMNS or _exact(held) != _exact(said)):
            raise Counterexample(f"{_shown(each)}\nhas {column} {_cut(held)} and not {_cut(said)}.")
    json.dumps([event and event.field_values, event and event.properties], allow_nan=False)


def _exact(value: object) -> object:
    """The same JSON with exact numbers: PostgreSQL gives 1e308 back as an integer of 309 digits."""
    return json.loads(json.dumps(value), parse_float=Decimal, parse_int=Decimal)


def _shown(each: Posted) -> str:
    return f"Number {each.number}, answered {each.status} {each.text!a}: {_cut(each.raw)}"


def _cut(value: object) -> str:
    """Show a value by ASCII, and of a long one the beginning: the command gives the whole."""
    text = ascii(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
