"""What an export holds, for its recipient to check it by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.utils import timezone

from superoffice_hooks import __version__
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.facets import choices
from superoffice_hooks.trail.formats import FORMATS, moment_text
from superoffice_hooks.trail.history import Gap
from superoffice_hooks.trail.outages import Outage, outages
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for
from superoffice_hooks.trail.selection import EventRows, Row, Selection
from superoffice_hooks.trail.timeline import timeline

# What one manifest looks at and lists, so that it ends within seconds and in bounded memory.
MAX_TENANTS = 1_000
MAX_RECORDS = 1_000
MAX_PAGES = 1_000  # of the stories of these records
MAX_GAPS = 1_000
MAX_OUTAGES = 1_000


@dataclass(slots=True)
class Tally:
    """How many bytes there were, and their SHA-256."""

    size: int = 0
    digest: Any = field(default_factory=sha256)

    def add(self, part: bytes) -> None:
        """Count these bytes too."""
        self.size += len(part)
        self.digest.update(part)


@dataclass(slots=True)
class Contents:
    """What an export holds, as far as it was written; of a bounded size.

    ``tallies`` are by the name of the format. ``first`` and ``last`` are moments.
    """

    selection: Selection
    tallies: dict[str, Tally]
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    records: dict[Record, None] = field(default_factory=dict)
    all_records: bool = True

    def add(self, rows: Sequence[Row]) -> None:
        """Take note of these rows."""
        if not rows:
            return
        source = self.selection.source
        moments = [row[source.moment] for row in rows]
        self.count += len(rows)
        self.first = min(moments if self.first is None else [self.first, *moments])
        self.last = max(moments if self.last is None else [self.last, *moments])
        for row in rows if source is EventRows and self.all_records else ():
            record = Record(row["context_identifier"], row["entity"], row["primary_key"])
            if record not in self.records:
                if len(self.records) < MAX_RECORDS:
                    self.records[record] = None
                else:
                    self.all_records = False

    def manifest(self) -> dict[str, Any]:
        """Return what a recipient can check the export by, for JSON.

        The gap markers are those that show today. They are looked for in the first 1,000 tenants
        and records, and ``all_looked_at`` says whether those were all; that nothing else is
        missing from the trail it does not say.
        """
        selection = self.selection
        contexts = contexts_for(selection.user)
        return {
            "what": selection.source.what,
            "filter": selection.filter,
            "contexts": None if contexts is None else sorted(contexts),
            "after": selection.after and moment_text(selection.after),
            "before": selection.before and moment_text(selection.before),
            "order": selection.order,
            "until": selection.until,
            "made_at": moment_text(timezone.now()),
            "made_by": selection.user.get_username(),
            "made_with": f"superoffice_hooks {__version__}",
            "count": self.count,
            "first": self.first and moment_text(self.first),
            "last": self.last and moment_text(self.last),
            "files": {
                name: {"bytes": tally.size, "sha256": tally.digest.hexdigest()}
                for name, tally in self.tallies.items()
            },
            "outages": self._outages(),
            "gaps": self._gaps() if selection.source is EventRows else None,
        }

    def _outages(self) -> dict[str, Any]:
        """Return when a webhook of the tenants was off, in the period that was asked for.

        Of the tenants that were asked for, and not of those that have a row: a webhook that was
        off all the time brought none.
        """
        found: list[dict[str, Any]] = []
        tenants = self._tenants()
        complete = len(tenants) <= MAX_TENANTS
        tenants = tenants[:MAX_TENANTS]
        for tenant in tenants:
            for outage in outages(tenant, self.selection.user):
                if not self._overlaps(outage):
                    continue
                if len(found) == MAX_OUTAGES:
                    complete = False
                    break
                started = outage.started
                found.append(
                    {
                        "context_identifier": tenant,
                        "webhook": outage.stopped.primary_key,
                        "stopped_at": moment_text(outage.stopped.occurred_at),
                        "stopped": outage.stopped.pk,
                        "started_at": started and moment_text(started.occurred_at),
                        "started": started and started.pk,
                    }
                )
        return {"tenants": len(tenants), "all_looked_at": complete, "found": found}

    def _tenants(self) -> list[str]:
        """Return the tenants that were asked for and that the user may see."""
        visible, asked = contexts_for(self.selection.user), self.selection.tenants
        if asked is None:
            return choices("context_identifier", visible, limit=MAX_TENANTS + 1)
        return sorted(tenant for tenant in asked if visible is None or tenant in visible)

    def _overlaps(self, outage: Outage) -> bool:
        after, before = self.selection.after, self.selection.before
        if before is not None and outage.stopped.occurred_at > before:
            return False
        return after is None or outage.started is None or outage.started.occurred_at >= after

    def _gaps(self) -> dict[str, Any]:
        """Return the gaps just before exported events."""
        found: list[dict[str, Any]] = []
        technical, pages, looked_at = Technical(), 0, 0
        for record in self.records:
            # From the newest moment of the export back to its oldest.
            place = Place(self.last, self.selection.until + 1) if self.last else None
            while place is not None and self.first is not None and place.at >= self.first:
                if pages == MAX_PAGES or len(found) >= MAX_GAPS:
                    return {"records": looked_at, "all_looked_at": False, "found": found}
                pages += 1
                page = timeline(record, self.selection.user, technical, place)
                if page is None:
                    break
                gaps = [gap for entry in page.entries for gap in entry.gaps]
                exported = self.selection.includes({gap.until.pk for gap in gaps}) if gaps else ()
                found += [_gap(record, gap) for gap in gaps if gap.until.pk in exported]
                place = page.older
            looked_at += 1
        return {"records": looked_at, "all_looked_at": self.all_records, "found": found}


def _gap(record: Record, gap: Gap) -> dict[str, Any]:
    return {
        "kind": gap.kind.value,
        "context_identifier": record.context_identifier,
        "entity": record.entity,
        "primary_key": record.primary_key,
        "since": gap.since and gap.since.pk,
        "since_at": gap.since and moment_text(gap.since.occurred_at),
        "until": gap.until.pk,
        "until_at": moment_text(gap.until.occurred_at),
        "moved": [change.name for change in gap.moved],
    }


def manifest(selection: Selection) -> dict[str, Any]:
    """Return the manifest of the whole export of this selection, in every format.

    By a walk of its own: what is sent in parts, and resumed, passes here only in parts, and
    nothing of it is kept. The bytes are the same, so that their SHA-256 is too.
    """
    contents = Contents(selection, {name: Tally() for name in FORMATS})
    columns = selection.source.columns
    for name, tally in contents.tallies.items():
        tally.add(FORMATS[name].head(columns))
    for rows in selection.walk():
        contents.add(rows)
        for name, tally in contents.tallies.items():
            tally.add(FORMATS[name].lines(columns, rows))
    return contents.manifest()
