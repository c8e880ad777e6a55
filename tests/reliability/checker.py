"""The reckoning: a journal of what was sent against database, spool and quarantine.

Run it as ``python -m tests.reliability.checker JOURNAL --spool FOLDER`` with ``DATABASE_URL``. It
needs the memory of a few thousand deliveries, whatever their number. It reads the spool's files
by itself: what it shared with the app would hide the app's mistakes.
"""

import argparse
import hashlib
import json
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tests.reliability import journal

CHUNK = 2_000
EXAMPLES = 5

TABLES = """
    CREATE TABLE sent (sha TEXT PRIMARY KEY, event_id TEXT, accepted INTEGER) WITHOUT ROWID;
    CREATE TABLE stored (sha TEXT, event_id TEXT, place TEXT);
    CREATE TABLE events (event_id TEXT);
"""
INDEXES = """
    CREATE INDEX sent_event ON sent (event_id);
    CREATE INDEX stored_sha ON stored (sha, place);
    CREATE INDEX stored_event ON stored (event_id);
    CREATE INDEX events_event ON events (event_id);
"""
# Where bytes are safe, and where an event need not have a row (yet).
SAFE = "('recorded', 'duplicate', 'test', 'quarantined', 'new')"
ROWLESS = "('test', 'quarantined', 'new')"

# Bytes that nobody sent under an EventId that somebody did.
CHANGED = """SELECT DISTINCT event_id FROM stored WHERE sha NOT IN (SELECT sha FROM sent)
    AND event_id IN (SELECT event_id FROM sent)"""
FAULTS = {
    # Answered 200, and its bytes are in no safe place, or its event is in no list.
    "lost": f"""SELECT event_id FROM sent WHERE accepted AND event_id NOT IN ({CHANGED}) AND (
        NOT EXISTS (SELECT 1 FROM stored WHERE stored.sha = sent.sha AND place IN {SAFE})
        OR (event_id NOT IN (SELECT event_id FROM events) AND NOT EXISTS (
            SELECT 1 FROM stored WHERE stored.sha = sent.sha AND place IN {ROWLESS})))""",
    "duplicate": """SELECT event_id FROM events GROUP BY event_id HAVING COUNT(*) > 1
        UNION SELECT event_id FROM stored WHERE place = 'recorded'
        GROUP BY event_id HAVING COUNT(*) > 1""",
    "phantom": """SELECT event_id FROM stored WHERE sha NOT IN (SELECT sha FROM sent)
        AND event_id NOT IN (SELECT event_id FROM sent)
        UNION SELECT event_id FROM events WHERE event_id NOT IN (SELECT event_id FROM sent)""",
    "altered": CHANGED,
}


@dataclass
class Verdict:
    """What the reckoning found; the first lines are the sender's, the last must be 0."""

    sent: int = 0  # different bodies, test events among them
    acknowledged: int = 0  # of these, how many were answered 200 at least once
    unanswered: int = 0  # the others
    disabled: int = 0
    events: int = 0
    recorded: int = 0
    repeated: int = 0
    quarantined: int = 0
    refused: int = 0
    waiting: int = 0  # in the spool's new/
    torn: int = 0  # in its tmp/: never answered
    damaged: int = 0  # in its bad/: set aside; where one was answered it is lost
    lost: int = 0
    duplicate: int = 0
    phantom: int = 0
    altered: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, twice, invented or changed."""
        return not (self.lost or self.duplicate or self.phantom or self.altered)

    def __str__(self) -> str:
        five = ("lost", "duplicate", "phantom", "altered", "disabled")
        return ", ".join(f"{getattr(self, name)} {name}" for name in five)


def check(journals: Iterable[Path], spool: Path | None) -> Verdict:
    """Compare what was sent with what the database of Django's settings and the spool hold.

    Nothing may be under way meanwhile.
    """
    verdict = Verdict()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(Path(folder) / "reckoning.sqlite3")) as scratch,
    ):
        scratch.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {TABLES}")
        verdict.disabled = _read_journals(journals, scratch)
        places: Counter[str] = Counter()
        broken: list[str] = []
        for chunk in _chunks(_deliveries(broken)):
            places += _note(scratch, chunk)
        if spool is not None:
            for chunk in _chunks(_files(spool)):
                places += _note(scratch, chunk)
        for chunk in _chunks(_events()):
            scratch.executemany("INSERT INTO events VALUES (?)", chunk)
        scratch.executescript(INDEXES)
        [[verdict.sent, verdict.acknowledged]] = scratch.execute(
            "SELECT COUNT(*), COALESCE(SUM(accepted), 0) FROM sent"
        )
        [[verdict.events]] = scratch.execute("SELECT COUNT(*) FROM events")
        for fault, query in FAULTS.items():
            found = [event_id for [event_id] in scratch.execute(query)]
            setattr(verdict, fault, len(found))
            if found:
                verdict.examples[fault] = found[:EXAMPLES]
    verdict.unanswered = verdict.sent - verdict.acknowledged
    verdict.altered += len(broken)
    if broken:
        verdict.examples.setdefault("altered", []).extend(broken[:EXAMPLES])
    verdict.recorded, verdict.repeated = places["recorded"], places["duplicate"]
    verdict.quarantined, verdict.waiting = places["quarantined"], places["new"]
    verdict.refused = _refused()
    verdict.torn, verdict.damaged = places["tmp"], places["bad"]
    return verdict


def _read_journals(journals: Iterable[Path], scratch: sqlite3.Connection) -> int:
    """Note what was sent; return how often the webhook was switched off."""
    disabled = 0

    def posts() -> Iterator[tuple[str, str, bool]]:
        nonlocal disabled
        for path in journals:
            for line in journal.read(path):
                disabled += line["kind"] == "disabled"
                if line["kind"] == "post":
                    yield line["sha256"], line["event_id"], line["status"] == 200

    for chunk in _chunks(posts()):
        scratch.executemany(
            """INSERT INTO sent VALUES (?, ?, ?) ON CONFLICT (sha) DO UPDATE
               SET accepted = MAX(accepted, excluded.accepted)""",
            chunk,
        )
    return disabled


def _note(scratch: sqlite3.Connection, chunk: list[tuple[bytes | None, str]]) -> Counter[str]:
    """Note where bytes are stored, under the EventId that was sent with them or that they tell."""
    rows = []
    for body, place in chunk:
        if body is not None:
            sha = hashlib.sha256(body).hexdigest()
            sent = scratch.execute("SELECT event_id FROM sent WHERE sha = ?", [sha]).fetchone()
            rows.append((sha, sent[0] if sent else _event_id(body), place))
    scratch.executemany("INSERT INTO stored VALUES (?, ?, ?)", rows)
    return Counter(place for _, place in chunk)


def _deliveries(broken: list[str]) -> Iterator[tuple[bytes, str]]:
    """Yield each delivery's bytes and outcome; collect those whose rows do not tell the same."""
    from django.db.models import Count

    from superoffice_hooks.models import ChangedField, Delivery

    fields = ("pk", "body", "outcome", "event", "event__event_id", "event__name")
    fields += ("event__primary_key",)
    last = 0
    while chunk := list(
        Delivery.objects.filter(pk__gt=last)
        .exclude(outcome="refused")
        .order_by("pk")
        .values_list(*fields)[:CHUNK]
    ):
        last = chunk[-1][0]
        keys = [row[3] for row in chunk if row[3] is not None]
        counts = dict(
            ChangedField.objects.filter(event__in=keys)
            .order_by()
            .values_list("event")
            .annotate(Count("position"))
        )
        for _, body, outcome, event, event_id, name, primary_key in chunk:
            body = bytes(body)
            if outcome in ("recorded", "duplicate"):
                told = json.loads(body)
                shown = (str(event_id), name, primary_key, counts.get(event, 0))
                changes = len(dict.fromkeys(told.get("Changes") or ()))
                if shown != (told["EventId"], told["Event"], told["PrimaryKey"], changes):
                    broken.append(told["EventId"])
            yield body, outcome


def _refused() -> int:
    """Return how many deliveries the sample of the wrongly signed holds."""
    from superoffice_hooks.models import Delivery

    return Delivery.objects.filter(outcome="refused").count()


def _events() -> Iterator[tuple[str]]:
    from superoffice_hooks.models import Event

    last = 0
    while chunk := list(
        Event.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "event_id")[:CHUNK]
    ):
        last = chunk[-1][0]
        for _, event_id in chunk:
            yield (str(event_id),)


def _files(spool: Path) -> Iterator[tuple[bytes | None, str]]:
    """Yield the body of each file and the folder that it is in; a file of new/ must be whole."""
    for place in ("new", "tmp", "bad"):
        for path in (spool / place).glob("*"):
            content = path.read_bytes()
            sealed, seal = content[:-66], content[-66:]
            if seal == b"\n" + hashlib.sha256(sealed).hexdigest().encode() + b"\n":
                yield sealed.partition(b"\n")[2], place
            else:
                yield None, "bad" if place == "new" else place


def _event_id(body: bytes) -> str:
    try:
        return str(json.loads(body)["EventId"])
    except (ValueError, KeyError, TypeError):
        return "?" + hashlib.sha256(body).hexdigest()


def _chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def main() -> None:
    """Print the verdict as JSON; exit code 1 where something is lost, twice or changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journals", type=Path, nargs="+")
    parser.add_argument("--spool", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.reliability.settings")
    import django

    django.setup()
    verdict = check(options.journals, options.spool)
    print(json.dumps(asdict(verdict)))
    raise SystemExit(0 if verdict.holds else 1)


if __name__ == "__main__":
    main()
