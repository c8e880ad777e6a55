"""What a scenario showed, and which promises it broke."""

from dataclasses import dataclass, field
from typing import Any

from tests.reliability.checker import Verdict
from tests.reliability.simulator import Figures


@dataclass
class Report:
    """Figures by name, and the promises that did not hold, each in a sentence."""

    scenario: str
    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    def promise(self, kept: bool, otherwise: str) -> None:
        """Note the sentence where the promise was not kept."""
        if not kept:
            self.broken.append(otherwise)

    def saw(self, figures: Figures) -> None:
        """Take over what the sender saw."""
        self.figures |= {
            "posts": figures.posts,
            "seconds": round(figures.took, 1),
            "posts a second": round(figures.rate, 1),
            "statuses": dict(sorted(figures.statuses.items())),
            "answers": dict(figures.answers.most_common()),
            "p50 ms": round(figures.percentile(50) * 1000, 1),
            "p99 ms": round(figures.percentile(99) * 1000, 1),
            "slowest ms": round(figures.percentile(100) * 1000, 1),
        }

    def reckon(self, verdict: Verdict, *, disabled: bool = False, empty: bool = True) -> None:
        """Judge by the reckoning; ``disabled`` is whether the webhook may have been switched off.

        ``empty`` is whether the spool has had the time to be drained.
        """
        self.verdict = verdict
        self.promise(verdict.holds, f"{verdict}: {verdict.examples}")
        self.promise(disabled or not verdict.disabled, "the webhook was switched off")
        self.promise(not empty or not verdict.waiting, f"{verdict.waiting} still in the spool")

    def all_200(self, figures: Figures) -> None:
        """Hold it to no answer other than 200."""
        self.promise(not figures.failures, f"{figures.failures} posts were not answered 200")

    def __str__(self) -> str:
        lines = [f"{self.scenario}:"]
        lines += [f"  {name}: {value}" for name, value in self.figures.items()]
        told = self.verdict
        lines += [
            f"  {told.sent} sent, {told.acknowledged} acknowledged, {told.events} events, "
            f"{told.repeated} repeated, {told.quarantined} quarantined, {told.refused} refused, "
            f"{told.waiting} in the spool, {told.torn} torn, {told.damaged} set aside",
            f"  {told}",
            *(f"  BROKEN: {sentence}" for sentence in self.broken),
        ]
        return "\n".join(lines)
