"""What the commands that take stored rows once more have in common."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from superoffice_hooks.conf import conf
from superoffice_hooks.exceptions import DeliveryError, SignatureError, in_short
from superoffice_hooks.intake.reprocess import foresee
from superoffice_hooks.management.progress import Progress
from superoffice_hooks.models import Delivery, Outcome

STEP: Final = 500  # primary keys that are held at once

# What makes one kind of reason a different text for each delivery.
_OF_ONE: Final = re.compile(r" \(at character \d+\)| \(Verified again at .*| ?Spooled when it .*")


class AgainCommand(BaseCommand):
    """Takes the deliveries of one outcome once more, the oldest first."""

    outcome: ClassVar[Outcome]

    def take(self, delivery: Delivery) -> Delivery:
        """Take one, and return it as it is now stored."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which of them, and whether to write."""
        parser.add_argument(
            "--endpoint", metavar="NAME", help=_("Only what arrived at this endpoint.")
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=_("Change nothing; say what would be changed."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and end in one line where it cannot go on."""
        try:
            self.run(options)
        except KeyboardInterrupt:
            raise CommandError(
                _("Stopped. What is done is done; type the same to go on."), returncode=130
            ) from None
        except DatabaseError as error:
            raise CommandError(
                _("The database cannot be read: %(reason)s") % {"reason": in_short(error)}
            ) from error

    def run(self, options: dict[str, Any]) -> None:
        """Take them; exit code 1 where something but the deliveries themselves was in the way."""
        deliveries = Delivery.objects.filter(outcome=self.outcome)
        if options["endpoint"] is not None:
            deliveries = deliveries.filter(endpoint=options["endpoint"])
            if not deliveries.exists() and conf.endpoint(options["endpoint"]) is None:
                raise CommandError(
                    _('There is no endpoint "%(name)s", and nothing arrived there.')
                    % {"name": options["endpoint"]}
                )
        counts: Counter[tuple[str, str]] = Counter()
        failed = 0
        progress = Progress(self.stdout, deliveries.count(), options["verbosity"])
        try:
            for pk in in_steps(deliveries):
                delivery = deliveries.defer("body", "headers").filter(pk=pk).first()
                if delivery is not None:  # nobody else has settled or removed it
                    became, done = self._take(delivery, options["dry_run"])
                    counts[_in_short(delivery.reason), became] += 1
                    failed += not done
                progress.advance()
        finally:
            progress.clear()
            if options["verbosity"]:
                self._tell(counts, options["dry_run"])
        if failed:
            raise CommandError(
                ngettext(
                    "%(count)d could not be taken, and was left as it is.",
                    "%(count)d could not be taken, and were left as they are.",
                    failed,
                )
                % {"count": failed}
            )

    def _take(self, delivery: Delivery, dry_run: bool) -> tuple[str, bool]:
        """Return what became of a delivery, or would, and whether nothing was in the way."""
        try:
            taken = foresee(delivery) if dry_run else self.take(delivery)
        except SignatureError as error:
            return f"{Outcome.REFUSED}: {error}", True
        except (DeliveryError, ImproperlyConfigured) as error:
            return _("left as it is: %(reason)s") % {"reason": error}, False
        except DatabaseError as error:
            return _("left as it is: %(reason)s") % {"reason": type(error).__name__}, False
        if taken.outcome == Outcome.QUARANTINED:
            return f"{Outcome.QUARANTINED}: {_in_short(taken.reason)}", True
        return str(taken.outcome), True

    def _tell(self, counts: Counter[tuple[str, str]], dry_run: bool) -> None:
        if not counts:
            self.stdout.write(
                _("Nothing is %(outcome)s.") % {"outcome": Outcome(self.outcome).label}
            )
        if not dry_run:
            became: Counter[str] = Counter()
            for (_reason, result), count in counts.items():
                became[result] += count
            self._list(became, "")
            return
        for reason, count in _totals(counts).most_common():
            self.stdout.write(f"{count} {self.outcome}: {reason}")
            self._list(
                Counter({result: n for (before, result), n in counts.items() if before == reason}),
                "    → ",
            )

    def _list(self, counts: Counter[str], indent: str) -> None:
        for result, count in counts.most_common():
            self.stdout.write(f"{indent}{count} {result}")


def in_steps(rows: QuerySet[Any]) -> Iterator[int]:
    """Yield the primary keys of what is there now, the oldest first, holding a few at a time."""
    newest = rows.order_by("-pk").values_list("pk", flat=True).first()
    ahead = rows.order_by("pk").values_list("pk", flat=True).filter(pk__lte=newest or 0)
    step = list(ahead[:STEP])
    while step:
        yield from step
        step = list(ahead.filter(pk__gt=step[-1])[:STEP])


def _totals(counts: Counter[tuple[str, str]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for (reason, _result), count in counts.items():
        totals[reason] += count
    return totals


def _in_short(reason: str) -> str:
    """Return what the reasons of one kind have in common."""
    return _OF_ONE.sub("", reason)
