"""What the app's system checks say, those of a deployment and those of the database included."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.core.checks import WARNING, CheckMessage

from superoffice_hooks import checks
from superoffice_hooks.management.doctor.finding import Finding, error, ok, warning


def settings() -> Iterator[Finding]:
    """Yield what the settings and the files have against them; the database is not asked."""
    found = list(_said((*checks.CHECKS, *checks.DEPLOYMENT_CHECKS)))
    yield from found or [ok("The settings, the URLs and the folder of the spool are in order.")]


def database_settings(alias: str) -> Iterator[Finding]:
    """Yield what the database's own settings have against them; it must be there."""
    found = list(_said((*checks.DATABASE_CHECKS, *checks.DEPLOYED_DATABASE_CHECKS), [alias]))
    yield from found or [ok("The database keeps what it confirms.")]


def _said(
    asked: Iterable[Callable[..., list[CheckMessage]]], databases: Sequence[str] | None = None
) -> Iterator[Finding]:
    for check in asked:
        told: Any = check(app_configs=None, databases=databases)
        for message in told:
            if message.level >= WARNING and not message.is_silenced():
                finding = error if message.is_serious() else warning
                yield finding(f"{message.id}: {message.msg}", message.hint or "")
