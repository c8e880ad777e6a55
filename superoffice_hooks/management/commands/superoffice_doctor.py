"""``manage.py superoffice_doctor``: what loses deliveries, and what to type next."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.translation import gettext as _

from superoffice_hooks.conf import DEFAULT_ENDPOINT
from superoffice_hooks.management.doctor.database import database
from superoffice_hooks.management.doctor.finding import Finding, Level
from superoffice_hooks.management.doctor.reach import reach
from superoffice_hooks.management.doctor.settings import settings
from superoffice_hooks.management.doctor.waiting import waiting


class Command(BaseCommand):
    """Asks everything that can be known, and ends with 0, 1 or 2: the worst that was found."""

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the URL, the endpoint whose secret signs, and the form of the answer."""
        parser.description = _(
            "Report what loses deliveries, each finding with what to type next. Ends with 0 if "
            "all is well, 1 after warnings, 2 after errors."
        )
        parser.add_argument(
            "--url",
            help=_(
                "Also post two signed test events, one of 1 MiB, to this public URL of the "
                "webhook; both are stored."
            ),
        )
        parser.add_argument(
            "--endpoint",
            default=DEFAULT_ENDPOINT,
            help=_('The endpoint whose secret signs them; default: "%(name)s".')
            % {"name": DEFAULT_ENDPOINT},
        )
        parser.add_argument("--json", action="store_true", help=_("Print the findings as JSON."))

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings, the worst first, and exit with the worst level."""
        found = sorted(
            _findings(options["url"], options["endpoint"]), key=lambda finding: -finding.level
        )
        worst = found[0].level
        if not options["json"]:
            for finding in found:
                if finding.level or options["verbosity"]:
                    self.stdout.write(self._style(finding.level)(str(finding)))
        else:
            self.stdout.write(_json(worst, found))
        if worst:
            sys.exit(int(worst))

    def _style(self, level: Level) -> Callable[[str], str]:
        styles: dict[Level, Callable[[str], str]] = {
            Level.OK: self.style.SUCCESS,
            Level.WARNING: self.style.WARNING,
            Level.ERROR: self.style.ERROR,
        }
        return styles[level]


def _findings(url: str | None, endpoint: str) -> Iterator[Finding]:
    yield from settings()
    yield from waiting()
    yield from database()
    if url:
        yield from reach(url, endpoint)


def _json(worst: Level, found: list[Finding]) -> str:
    listed = [
        {"level": finding.level.name.lower(), "what": finding.what, "next": finding.next}
        for finding in found
    ]
    return json.dumps({"worst": worst.name.lower(), "findings": listed}, indent=1)
