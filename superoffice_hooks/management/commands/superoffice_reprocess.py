"""``manage.py superoffice_reprocess``: run what is stored through today's parser and settings."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from superoffice_hooks.intake.rebuild import Difference, rebuild
from superoffice_hooks.intake.reprocess import reprocess
from superoffice_hooks.management.again import AgainCommand, in_steps
from superoffice_hooks.management.progress import Progress
from superoffice_hooks.models import Delivery, Event, Outcome

SAME: Final = "same"
DIFFERS: Final = "differs"
LEFT: Final = "left"


class Command(AgainCommand):
    """Processes every quarantined delivery again, or rebuilds events from their deliveries."""

    outcome = Outcome.QUARANTINED

    def take(self, delivery: Delivery) -> Delivery:
        """Process one."""
        return reprocess(delivery, "superoffice_reprocess")

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to take, and whether to write."""
        parser.description = _(
            "Process the quarantined deliveries again, by today's parser and settings; or with "
            "--rebuild derive the rows of events again from the deliveries that recorded them."
        )
        super().add_arguments(parser)
        parser.add_argument(
            "--rebuild",
            nargs="*",
            type=int,
            metavar="EVENT",
            help=_("Rebuild the events of these ids (the id of the row), or all events."),
        )
        parser.add_argument(
            "--context", metavar="TENANT", help=_("With --rebuild: only events of this tenant.")
        )

    def run(self, options: dict[str, Any]) -> None:
        """Process or rebuild."""
        if options["rebuild"] is None:
            if options["context"] is not None:
                raise CommandError(_("--context goes with --rebuild."))
            super().run(options)
        elif options["endpoint"] is not None:
            raise CommandError(_("--endpoint does not go with --rebuild."))
        else:
            self._rebuild(options)

    def _rebuild(self, options: dict[str, Any]) -> None:
        """Compare all that are chosen, and write them; exit code 1 where some had to be left."""
        counts: Counter[str] = Counter()
        events = Event.objects.all()
        if options["context"] is not None:
            events = events.filter(context_identifier=options["context"])
        if options["rebuild"]:
            events = events.filter(pk__in=options["rebuild"])
            present = set(events.values_list("pk", flat=True))
            for pk in dict.fromkeys(options["rebuild"]):
                if pk not in present:
                    self.stderr.write(_("event %(pk)d: there is none") % {"pk": pk})
                    counts[LEFT] += 1
        progress = Progress(self.stdout, events.count(), options["verbosity"])
        try:
            for difference in rebuild(in_steps(events), write=not options["dry_run"]):
                lines = list(_lines(difference, values=options["verbosity"] > 1))
                result = _result(difference)
                progress.advance()
                if lines and (result == LEFT or options["verbosity"]):
                    progress.clear()
                    (self.stderr if result == LEFT else self.stdout).write("\n".join(lines))
                counts[result] += 1
        finally:
            progress.clear()
            if options["verbosity"]:
                self.stdout.write(_summary(counts, options["dry_run"]))
        if counts[LEFT]:
            raise CommandError(
                ngettext(
                    "%(count)d event could not be rebuilt.",
                    "%(count)d events could not be rebuilt.",
                    counts[LEFT],
                )
                % {"count": counts[LEFT]}
            )


def _result(difference: Difference) -> str:
    if difference.problem is not None or difference.error is not None:
        return LEFT
    return DIFFERS if difference.changes else SAME


def _lines(difference: Difference, values: bool) -> Iterator[str]:
    """Yield what differs, or why that is unknown; without values unless they are asked for."""
    event = f"{_('event')} {difference.event_pk}"
    if difference.error is not None:
        yield f"{event}: {type(difference.error).__name__}"
    elif difference.problem is not None:
        detail = f": {difference.detail}" if difference.detail else ""
        yield f"{event}: {difference.problem.label}{detail}"
    elif values:
        yield from (f"{event}: {change}" for change in difference.changes)
    elif difference.changes:
        yield f"{event}: {', '.join(change.place for change in difference.changes)}"


def _summary(counts: Counter[str], dry_run: bool) -> str:
    differ = (
        ngettext("%(count)d differs", "%(count)d differ", counts[DIFFERS])
        if dry_run
        else ngettext("%(count)d was rebuilt", "%(count)d were rebuilt", counts[DIFFERS])
    )
    same = ngettext(
        "%(count)d event is as its delivery gives it",
        "%(count)d events are as their deliveries give them",
        counts[SAME],
    )
    return f"{same % {'count': counts[SAME]}}, {differ % {'count': counts[DIFFERS]}}."
