"""The events that the simulator posts: any number, each told apart, made again from its number."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from superoffice_hooks.samples import week

TEMPLATES = 400  # deliveries of the sample week whose shape is borrowed
BEGIN = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wire:
    """One body as SuperOffice would post it."""

    event_id: str
    body: bytes

    @property
    def sha256(self) -> str:
        """The hash by which the checker knows these bytes again."""
        return hashlib.sha256(self.body).hexdigest()


class Bodies:
    """Events by number: the same seed and number give the same bytes, in any process.

    Their shapes are those of the sample week; EventId, time and key are their own, so that no two
    tell the same change.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __getitem__(self, number: int) -> Wire:
        digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        event_id = str(UUID(bytes=digest[:16], version=4))
        shape = self._shapes[number % len(self._shapes)]
        moment = BEGIN + timedelta(milliseconds=number)
        told = shape | {
            "EventId": event_id,
            "Timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}{number % 10}Z",
            "PrimaryKey": 100_000 + number,
        }
        return Wire(event_id, encode(told))

    def first(self, count: int) -> Iterator[Wire]:
        """Yield the first so many."""
        return (self[number] for number in range(count))

    @cached_property
    def _shapes(self) -> list[dict[str, Any]]:
        shapes = []
        for sample in week(TEMPLATES, self.seed, BEGIN):
            try:
                told = json.loads(sample.body)
            except ValueError:  # the week has one that nobody can read
                continue
            if told.get("Event", "test") != "test":
                shapes.append(told)
        return shapes


def registration(seed: int, number: int) -> Wire:
    """Return what SuperOffice posts first to a webhook that is being registered."""
    event_id = str(UUID(bytes=hashlib.sha256(f"test {seed} {number}".encode()).digest()[:16]))
    told = {
        "EventId": event_id,
        "Timestamp": f"{BEGIN:%Y-%m-%dT%H:%M:%S}Z",
        "Event": "test",
        "PrimaryKey": 0,
        "ContextIdentifier": "Default",
        "ChangedByAssociateId": 0,
        "WebhookName": "Audit trail",
    }
    return Wire(event_id, encode(told))


def encode(told: dict[str, Any]) -> bytes:
    """Write JSON as SuperOffice does: no spaces, text as it is."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
