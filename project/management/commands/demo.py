"""``manage.py demo``: a site full of a week's events, after one command."""

import contextlib
import errno
import logging
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils.translation import gettext as _

from superoffice_hooks.conf import conf
from superoffice_hooks.management.commands.superoffice_send import Progress, post_all
from superoffice_hooks.samples import week
from superoffice_hooks.sender import Sender, Tally

HOST = "127.0.0.1"
LOGIN = "demo"
PASSWORD = "demo"  # noqa: S105  # printed, and good for this site only


class QuietHandler(WSGIRequestHandler):
    """Serves without a log line for each request."""

    # Small replies leave at once; else each waits for the acknowledgement of its own headers.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: thousands of lines would hide the summary."""


class Command(BaseCommand):
    """Prepares the database, starts the site, posts a week of signed deliveries and serves on."""

    # Since Django 6.1 they open the database, and the file may be left over from anything.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare how much to post and where to serve."""
        parser.description = _(
            "Start the demo site, fill it with a week of signed deliveries, and serve it until "
            "Ctrl-C."
        )
        parser.add_argument(
            "--events", type=int, default=3000, help=_("Deliveries; default: 3000.")
        )
        parser.add_argument("--port", type=int, default=8000, help=_("Port; default: 8000."))
        parser.add_argument("--seed", type=int, default=1, help=_("Which week; default: 1."))
        parser.add_argument(
            "--exit", action="store_true", help=_("Stop after the summary instead of serving on.")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it all; Ctrl-C ends it at any moment with one line."""
        if options["events"] < 1:
            raise CommandError(_("--events takes a number of deliveries, 1 or more."))
        # A quarantined delivery is part of the show, and no reason to warn on the terminal.
        logging.getLogger("superoffice_hooks").setLevel(logging.ERROR)
        logging.getLogger("superoffice_hooks.alarms").setLevel(logging.CRITICAL)
        served = False
        self._marker: Path | None = None
        try:
            with self._server(options["port"]) as server:
                self._prepare(server.server_port)
                with _serving(server):
                    site = f"http://{HOST}:{server.server_port}"
                    tally = self._post(site, options)
                    self._summarize(site, tally, stays=not options["exit"])
                    if not options["exit"]:
                        served = True
                        while True:
                            time.sleep(3600)
        except KeyboardInterrupt:
            self.stdout.write("\n" + _("Stopped."))
            if not served:
                sys.exit(130)
        else:
            if tally.failed:
                raise CommandError(
                    _("Not answered with 200: %(failed)d of %(posted)d.")
                    % {"failed": tally.failed, "posted": tally.posted}
                )
        finally:
            if self._marker is not None:
                self._marker.unlink(missing_ok=True)

    def _server(self, port: int) -> ThreadedWSGIServer:
        """Bind the port before anything is touched, so that a second demo harms no first one."""
        try:
            server = ThreadedWSGIServer((HOST, port), QuietHandler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error).rstrip(".")
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                reason = _("it is in use")
            raise CommandError(
                _("Port %(port)d cannot be had: %(reason)s. Use --port to name another.")
                % {"port": port, "reason": reason}
            ) from error
        server.daemon_threads = True
        return server

    def _prepare(self, port: int) -> None:
        """Begin with an empty demo database, or keep what is in one that DATABASE_URL names."""
        name = settings.DATABASES["default"]["NAME"]
        if name == ":memory:":
            raise CommandError(_("The demo needs a database that all its threads share: a file."))
        try:
            if name == settings.DEMO_DATABASE:
                self._claim(Path(f"{name}-port"), port)
                # The system checks may have opened it: they would go on with the removed file.
                connection.close()
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{name}{suffix}").unlink(missing_ok=True)
                # What an earlier run could not store is not this one's.
                if conf.spool_dir is not None:
                    shutil.rmtree(conf.spool_dir, ignore_errors=True)
            call_command("migrate", verbosity=0, interactive=False)
            users = get_user_model()._default_manager
            user, created = users.get_or_create(username=LOGIN)
            if not created and not user.check_password(PASSWORD):
                raise CommandError(
                    _("The database %(name)s has a user %(login)s of its own. Use another one.")
                    % {"name": name, "login": LOGIN}
                )
            user.is_staff = user.is_superuser = user.is_active = True
            user.set_password(PASSWORD)
            user.save()
        except (OSError, DatabaseError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
            raise CommandError(
                _("The database %(name)s cannot be used: %(reason)s")
                % {"name": name, "reason": reason}
            ) from error
        finally:
            connection.close()

    def _claim(self, marker: Path, port: int) -> None:
        """Refuse to take the database from a demo that still serves it, and note our own port."""
        other = marker.read_text() if marker.exists() else ""
        if other.isdecimal():
            with contextlib.suppress(OSError), socket.create_connection((HOST, int(other)), 1):
                raise CommandError(
                    _("A demo runs on port %(port)s already, in this folder. Stop it first.")
                    % {"port": other}
                )
        marker.write_text(str(port))
        self._marker = marker

    def _post(self, site: str, options: dict[str, Any]) -> Tally:
        url, tally = site + reverse("superoffice_hooks:webhook"), Tally()
        events = options["events"]
        progress = Progress(self.stdout, self.stderr, events, options["verbosity"])
        with Sender(url, settings.DEMO_WEBHOOK_SECRET) as sender:
            samples = week(events, options["seed"], datetime.now(UTC))
            post_all(sender, samples, tally, progress)
        return tally

    def _summarize(self, site: str, tally: Tally, stays: bool) -> None:
        admin = site + reverse("admin:superoffice_hooks_event_changelist")
        api = f"{site}/superoffice/api/events/?entity=sale&action=deleted"
        webhook = site + reverse("superoffice_hooks:webhook")
        secret = shlex.quote(settings.DEMO_WEBHOOK_SECRET)
        rows = [
            (_("Posted"), str(tally)),
            (_("Admin"), admin),
            (_("Login"), LOGIN),
            (_("Password"), PASSWORD),
            (_("API"), f"curl -u {LOGIN}:{PASSWORD} '{api}'"),
            (_("Send"), f"python manage.py superoffice_send {webhook} --secret={secret}"),
            (_("Stop"), _("Ctrl-C") if stays else _("stopped; without --exit it serves on")),
        ]
        width = max(len(label) for label, text in rows)
        self.stdout.write("\n" + "\n".join(f"  {label:<{width}}  {text}" for label, text in rows))
        self.stdout.write("")
        self.stdout.flush()


@contextmanager
def _serving(server: ThreadedWSGIServer) -> Iterator[None]:
    """Serve the site from a thread of its own until the block ends."""
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
