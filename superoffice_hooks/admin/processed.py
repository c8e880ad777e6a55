"""What came of processing or verifying deliveries again, in words for the user who asked for it."""

from collections import Counter
from collections.abc import Iterator

from django.contrib import messages
from django.utils.translation import gettext, ngettext

from superoffice_hooks.admin.reasons import explain
from superoffice_hooks.models import Delivery, Outcome

MAX_REASONS = 5  # different ones in one message


class Processed:
    """Counts deliveries, which had this outcome before, by what became of them."""

    def __init__(self, before: Outcome) -> None:
        self.before = before
        self.outcomes: Counter[str] = Counter()
        self.quarantined: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def add(self, delivery: Delivery) -> None:
        """Count a delivery that was processed."""
        if delivery.outcome == Outcome.QUARANTINED:
            explained = explain(Outcome.QUARANTINED, delivery.reason)
            self.quarantined[explained.meaning if explained else delivery.reason] += 1
        else:
            self.outcomes[delivery.outcome] += 1

    def fail(self, reason: str) -> None:
        """Count a delivery that could not be processed."""
        self.failed[reason] += 1

    def told(self) -> Iterator[tuple[int, str]]:
        """Yield messages with their levels; one where there is nothing to tell, too."""
        if not (self.outcomes or self.quarantined or self.failed):
            yield (
                messages.WARNING,
                (
                    gettext("Nothing was verified: none of it is refused.")
                    if self.before == Outcome.REFUSED
                    else gettext("Nothing was processed: none of it is quarantined.")
                ),
            )
        for outcome, count in sorted(self.outcomes.items()):
            yield messages.SUCCESS, _outcome(outcome, count) % {"count": count}
        shown = self.quarantined.most_common(MAX_REASONS)
        for reason, count in shown:
            text = _quarantined(self.before, count)
            yield messages.WARNING, text % {"count": count, "reason": reason}
        others = self.quarantined.total() - sum(count for _, count in shown)
        if others:
            text = ngettext(
                "%(count)d other delivery is quarantined.",
                "%(count)d other deliveries are quarantined.",
                others,
            )
            yield messages.WARNING, text % {"count": others}
        for reason, count in self.failed.most_common(MAX_REASONS):
            text = ngettext(
                "%(count)d delivery was left as it is: %(reason)s",
                "%(count)d deliveries were left as they are: %(reason)s",
                count,
            )
            yield messages.ERROR, text % {"count": count, "reason": reason}


def _outcome(outcome: str, count: int) -> str:
    if outcome == Outcome.RECORDED:
        return ngettext(
            "%(count)d delivery was recorded.", "%(count)d deliveries were recorded.", count
        )
    if outcome == Outcome.DUPLICATE:
        return ngettext(
            "%(count)d delivery repeats an event that is in the trail already.",
            "%(count)d deliveries repeat events that are in the trail already.",
            count,
        )
    return ngettext("%(count)d delivery was a test.", "%(count)d deliveries were tests.", count)


def _quarantined(before: Outcome, count: int) -> str:
    if before == Outcome.REFUSED:
        return ngettext(
            "%(count)d delivery is genuine, and quarantined: %(reason)s",
            "%(count)d deliveries are genuine, and quarantined: %(reason)s",
            count,
        )
    return ngettext(
        "%(count)d delivery is still quarantined: %(reason)s",
        "%(count)d deliveries are still quarantined: %(reason)s",
        count,
    )
