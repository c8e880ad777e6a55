"""``manage.py superoffice_drain``: store what was spooled while the database was away."""

import time
from collections import Counter
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from superoffice_hooks.conf import SETTING, conf
from superoffice_hooks.exceptions import in_short
from superoffice_hooks.intake.drain import DAMAGED, FAILED, LONGEST_REST, drain
from superoffice_hooks.intake.spool import Spool, SpoolFileError, read
from superoffice_hooks.management.progress import Progress

WATCH_EVERY = 2.0  # seconds


class Command(BaseCommand):
    """Empties the spool into the database, once or for as long as it runs."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.description = _(
            "Store the deliveries that were kept in SPOOL_DIR while the database could not take "
            "them. Any number of these may run at once, beside the site itself. Ends with 1 if "
            "something could not be stored."
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--watch",
            action="store_true",
            help=_("Go on until it is stopped, and wait where the database is away."),
        )
        how.add_argument(
            "--dry-run",
            action="store_true",
            help=_("Say what waits, and whether it can be read; change nothing."),
        )

        parser.add_argument(
            "--any-database",
            action="store_true",
            help=_("Also what waits for a database of another name."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command."""
        try:
            folder = conf.spool_dir
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if folder is None:
            raise CommandError(
                _('There is no spool: set %(setting)s["SPOOL_DIR"] to the path of a folder.')
                % {"setting": SETTING}
            )
        spool = Spool(folder, any_database=options["any_database"])
        self.verbosity = options["verbosity"]
        try:
            if (foreign := len(spool.foreign())) and not options["any_database"]:
                self.stderr.write(
                    _("%(count)d wait for a database of another name: see --any-database.")
                    % {"count": foreign}
                )
            if options["dry_run"]:
                self._look(spool)
            elif options["watch"]:
                self._watch(spool)
            else:
                self._drain(spool)
        except KeyboardInterrupt:
            raise CommandError(
                _("Stopped. What is not stored yet is still in the spool."), returncode=130
            ) from None
        except OSError as error:
            raise CommandError(
                _("%(path)s cannot be read: %(reason)s")
                % {"path": error.filename or folder, "reason": error.strerror or error}
            ) from error

    def _drain(self, spool: Spool) -> None:
        try:
            counts = self._store(spool)
        except DatabaseError as error:
            raise CommandError(
                _(
                    "The database does not take them yet (%(reason)s). Nothing is lost: "
                    "%(count)d wait in %(folder)s."
                )
                % {
                    "reason": in_short(error),
                    "count": len(spool.waiting()),
                    "folder": spool.new,
                }
            ) from error
        if not counts:
            self._say(_("Nothing waits in %(folder)s for this database.") % {"folder": spool.new})
        if counts[DAMAGED] or counts[FAILED]:
            raise CommandError(
                _(
                    "Not stored: %(damaged)d that cannot be read, now in %(bad)s, and %(failed)d "
                    "that failed and stay in the spool; the log says why."
                )
                % {"damaged": counts[DAMAGED], "failed": counts[FAILED], "bad": spool.bad}
            )

    def _watch(self, spool: Spool) -> None:
        self._say(_("Watching %(folder)s; Ctrl-C ends it.") % {"folder": spool.folder})
        was_away, rest = False, WATCH_EVERY
        while True:
            try:
                counts = Counter[str]() if spool.is_empty() else self._store(spool)
                # What fails again and again is not tried, and told of, every two seconds.
                rest = min(2 * rest, LONGEST_REST) if set(counts) == {FAILED} else WATCH_EVERY
                was_away = False
            except DatabaseError as error:
                if not was_away:
                    self.stderr.write(
                        _("The database does not take them yet (%(reason)s).")
                        % {"reason": in_short(error)}
                    )
                was_away = True
            finally:
                connections.close_all()
            time.sleep(rest)

    def _store(self, spool: Spool) -> Counter[str]:
        progress = Progress(self.stdout, len(spool.waiting()), self.verbosity)
        try:
            counts = drain(spool, lambda result: progress.advance())
        finally:
            progress.clear()
        if counts:
            told = ", ".join(f"{count} {result}" for result, count in counts.most_common())
            self._say(_("Drained: %(counts)s.") % {"counts": told})
        return counts

    def _look(self, spool: Spool) -> None:
        """Read every file, and say what a drain would find."""
        readable, damaged, size, oldest = 0, 0, 0, None
        for path in spool.waiting():
            try:
                arrival = read(path.read_bytes())
            except FileNotFoundError:  # somebody drains it
                continue
            except (SpoolFileError, OSError) as error:
                self.stderr.write(f"{path}: {getattr(error, 'strerror', None) or error}")
                damaged += 1
                continue
            readable, size = readable + 1, size + len(arrival.body)
            oldest = min(oldest or arrival.received_at, arrival.received_at)
        if oldest is None:
            self._say(_("Nothing would be stored."))
        else:
            self._say(
                ngettext(
                    "%(count)d delivery of %(kilobytes)d kB would be stored; it arrived at "
                    "%(oldest)s.",
                    "%(count)d deliveries of %(kilobytes)d kB would be stored; the oldest arrived "
                    "at %(oldest)s.",
                    readable,
                )
                % {
                    "count": readable,
                    "kilobytes": -(-size // 1000),
                    "oldest": timezone.localtime(oldest).isoformat(" ", "seconds"),
                }
            )
        if damaged:
            raise CommandError(_("%(count)d cannot be read.") % {"count": damaged})
        if aside := len(spool.damaged()):
            raise CommandError(
                _("%(count)d damaged: see %(folder)s.") % {"count": aside, "folder": spool.bad}
            )

    def _say(self, text: str) -> None:
        if self.verbosity:
            self.stdout.write(text)
