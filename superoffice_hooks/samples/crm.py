"""The made-up CRM: records that keep their state, and the deliveries that changes cause.

A snapshot (``FieldValues``) differs from the one before in just the fields that an event's
``Changes`` named.
"""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from superoffice_hooks.samples.kinds import KINDS, LINKS, NAMES_ONLY, OUTCOMES, Spec, Value

HOUR = 3_600 * 10_000_000  # SuperOffice counts time in units of 100 ns
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL = timezone(timedelta(hours=1))  # snapshots tell local time; here CET, all year
LIVE = 200  # records of an entity that people still work with; older ones rest


@dataclass(frozen=True, slots=True)
class Sample:
    """One delivery as SuperOffice would post it; the signature is for the sender to add."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the CRM, with the values that a snapshot of it would show now."""

    entity: str
    key: int
    state: dict[str, Value]


class Clock:
    """The instants of the week, one for each delivery, ascending and mostly in working hours."""

    def __init__(self, rng: random.Random, count: int, until: datetime) -> None:
        """Draw ``count`` instants from the seven days before ``until``."""
        self.end = (until - EPOCH) // timedelta(microseconds=1) * 10
        self.instants = sorted(self._draw(rng) for _ in range(count))
        self.position = 0

    def _draw(self, rng: random.Random) -> int:
        while True:
            instant = self.end - rng.randrange(1, 168 * HOUR)
            day, hour = divmod(instant // HOUR, 24)
            if ((day + 3) % 7 < 5 and 6 <= hour < 15) or rng.random() < 0.01:
                return instant

    def silence(self, length: int) -> None:
        """Let nothing happen for so long from now: all that follows moves closer to the end."""
        now = self.instants[self.position]
        length = min(length, (self.end - now) // 2)
        for index in range(self.position + 1, len(self.instants)):
            left = self.end - self.instants[index]
            self.instants[index] += length * left // (self.end - now)

    def day(self, ahead: int = 0) -> str:
        """Return the local time to the second, or the beginning of a day ahead."""
        now = EPOCH + timedelta(ahead, microseconds=self.instants[self.position] // 10)
        return f"{now.astimezone(LOCAL):{'%Y-%m-%dT00:00:00' if ahead else '%Y-%m-%dT%H:%M:%S'}}"

    def wire(self, zone: timezone = UTC, suffix: str = "Z") -> str:
        """Return now to 100 ns as SuperOffice writes it: without the trailing zeros."""
        seconds, fraction = divmod(self.instants[self.position], 10_000_000)
        digits = f".{fraction:07}".rstrip("0").rstrip(".")
        return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%dT%H:%M:%S}{digits}{suffix}"


class Tenant:
    """The CRM of one customer; what is done in it returns the delivery that it causes."""

    def __init__(self, context: str, clock: Clock, rng: random.Random, ids: random.Random) -> None:
        """Begin with five colleagues and no records."""
        self.context, self.clock, self.rng, self.ids = context, clock, rng, ids
        self.associates = rng.sample(range(5, 400), 5)
        self.keys = {entity: rng.randrange(1_000, 900_000) for entity in KINDS}
        self.live: dict[str, list[Record]] = {entity: [] for entity in KINDS}
        self.bin: list[Record] = []

    def create(self, entity: str, by: int, **given: Value) -> Sample:
        """Create a record; what is not given is drawn."""
        kind = KINDS[entity]
        self.keys[entity] += self.rng.randrange(1, 4)
        state = {name: self._draw(spec) for name, spec in kind.sent.items()} | given
        record = Record(entity, self.keys[entity], state)
        if kind.key in state:
            state[kind.key] = record.key
        if "updated" in kind.stamps:
            state |= {"registered": self.clock.day(), "registered_associate_id": by}
        self.live[entity] = [*self.live[entity], record][-LIVE:]
        return self.change(record, by, "created", **state, **dict.fromkeys(kind.moves[-1:], ""))

    def change(self, record: Record, by: int, action: str = "changed", /, **new: Value) -> Sample:
        """Change these fields of a record, and have the event name them."""
        kind, state = KINDS[record.entity], record.state
        stamps: dict[str, Value] = {
            "updated": self.clock.wire(LOCAL, "+01:00"),
            "updated_associate_id": by,
            "last_changed": self.clock.day(),
        }
        for name, value in (new | stamps).items():
            if name in state or name in kind.stamps:
                state[name] = value
        names = sorted({kind.key, *new, *kind.stamps})
        told = {} if action in OUTCOMES else {"FieldValues": _snapshot(record)}
        return self.send(f"{record.entity}.{action}", record.key, by, names, **told)

    def bury(self, record: Record, by: int) -> Sample:
        """Put a record into the bin: a soft delete."""
        self._remove(record)
        self.bin.append(record)
        return self.change(record, by, "softdeleted", deleted=1, DeletedDate=self.clock.day())

    def delete(self, record: Record, by: int) -> Sample:
        """Delete a record for good; a few entities tell their last values once more."""
        self._remove(record)
        kind, state = KINDS[record.entity], record.state
        values = {name: state[name] for name in LINKS if name in state} | {kind.key: record.key}
        told = {"FieldValues": state} if record.entity in ("sale", "y_car") else {}
        return self.send(f"{record.entity}.deleted", record.key, by, (), Values=values, **told)

    def act(self, event: str, by: int) -> Sample:
        """Do to some record what this event tells of, or what comes closest to it."""
        if not self.live["contact"]:
            event = "contact.created"
        entity, _, action = event.rpartition(".")
        records = self.live.get(entity, [])
        if event == "contact.deleted" and self.bin:
            return self.delete(self.bin[0], by)
        if action == "created" or (entity in KINDS and not records):
            return self.create(entity, by)
        record = self.rng.choice(records or [Record(entity, self.rng.randrange(1, 13), {})])
        if event in NAMES_ONLY:
            return self.send(event, record.key, by, NAMES_ONLY[event])
        if action == "deleted":
            return self.bury(record, by) if entity == "contact" else self.delete(record, by)
        if action in OUTCOMES and not OUTCOMES[action].items() <= record.state.items():
            return self.change(record, by, action, **OUTCOMES[action])
        kind = KINDS[entity]
        names = self.rng.sample(kind.moves, self.rng.choice((1, 1, 2)))
        drawn = {name: self._draw(kind.sent.get(name, "")) for name in names}
        new = {name: value for name, value in drawn.items() if record.state.get(name) != value}
        return self.change(record, by, **(new or {kind.moves[-1]: ""}))

    def send(
        self, event: str, key: int, by: int, changes: Sequence[str] = (), **told: object
    ) -> Sample:
        """Return the delivery of an event that happens now."""
        event_id = str(uuid.UUID(int=self.ids.getrandbits(128), version=4))
        body = {
            "EventId": event_id,
            "Timestamp": self.clock.wire(),
            "Changes": self.rng.sample(changes, len(changes)),  # in no order
            "Event": event,
            "PrimaryKey": key,
            "Entity": event.rpartition(".")[0] or event,
            "ContextIdentifier": "Default" if event == "test" else self.context,
            "ChangedByAssociateId": by,
            "WebhookName": "Audit trail",
            "Environment": "Production",  # a property that an administrator added
            **told,
        }
        if event.startswith("webhook"):
            del body["Entity"]
        headers = {
            "X-SuperOffice-Event": event,
            "X-SuperOffice-EventId": event_id,
            "X-SuperOffice-Retry": "0",
        } | ({"X-Hook-Test": "true"} if event == "test" else {})
        return Sample(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), headers)

    def _remove(self, record: Record) -> None:
        for records in (self.live[record.entity], self.bin):
            records[:] = [other for other in records if other is not record]

    def _draw(self, spec: Spec) -> Value:
        if isinstance(spec, tuple | range):
            choices: Sequence[Value] = spec
            return self.rng.choice(choices)
        match str(spec).partition("@")[2]:
            case "":
                return spec
            case "day":
                return self.clock.day(self.rng.randrange(1, 60))
            case "number":  # no registered organisation's number begins with 1
                return str(self.rng.randrange(100_000_000, 200_000_000))
            case "associate":
                return self.rng.choice(self.associates)
            case entity:
                return self.rng.choice(self.live[entity]).key if self.live[entity] else 0


def _snapshot(record: Record) -> dict[str, Value]:
    """Return a copy of the state; rows of extra tables send it encoded."""
    if not record.entity.startswith("y_"):
        return dict(record.state)
    changed = datetime.fromisoformat(str(record.state["last_changed"]))
    encoded: dict[str, Value] = {"last_changed": f"[DT:{changed:%m/%d/%Y %H:%M:%S}.0000000]"}
    numbers = {name: f"[I:{value}]" for name, value in record.state.items() if value != str(value)}
    return record.state | numbers | encoded
