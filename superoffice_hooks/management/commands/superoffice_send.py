"""``manage.py superoffice_send URL``: post signed deliveries as SuperOffice would."""

import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)
from django.utils.translation import gettext as _

from superoffice_hooks.management import progress
from superoffice_hooks.samples import Sample, week
from superoffice_hooks.sender import Reply, Sender, Tally

SECRET_VARIABLE = "SUPEROFFICE_WEBHOOK_SECRET"  # noqa: S105  # a variable's name


class Progress:
    """Shows how the posting goes: each post, or the pace and what went wrong.

    ``total`` is how many will be posted, where the pace is shown, and ``None`` where each post is.
    Failures go to ``stderr``, whatever the verbosity.
    """

    def __init__(
        self,
        stdout: OutputWrapper,
        stderr: OutputWrapper,
        total: int | None = None,
        verbosity: int = 1,
    ) -> None:
        self._stdout, self._stderr = stdout, stderr
        self._quiet = verbosity == 0
        self._pace = None if total is None else progress.Progress(stdout, total, verbosity)

    def show(self, sample: Sample, reply: Reply) -> None:
        """Show one reply."""
        if reply.status != 200:
            self.clear()
            self._stderr.write(_line(sample, reply))
        elif not self._quiet and (self._pace is None or reply.outcome == "quarantined"):
            self.clear()
            self._stdout.write(_line(sample, reply))
        if self._pace is not None:
            self._pace.advance()

    def clear(self) -> None:
        """Leave the line to whoever writes next."""
        if self._pace is not None:
            self._pace.clear()


def post_all(sender: Sender, samples: Iterable[Sample], tally: Tally, shown: Progress) -> None:
    """Post them in order, counting and showing each reply.

    Raises ``CommandError`` at the first that no server answers; ``tally`` then has the others.
    """
    try:
        for sample in samples:
            try:
                reply = sender.post(sample)
            except (OSError, HTTPException) as error:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                raise CommandError(
                    _("No answer from %(url)s: %(reason)s") % {"url": sender.url, "reason": reason}
                ) from error
            tally.add(reply)
            shown.show(sample, reply)
    finally:
        shown.clear()


class Command(BaseCommand):
    """Signs and posts bodies from a file, generated ones, or a single test event."""

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the URL, the secret and the source of the bodies."""
        parser.description = _(
            "Post signed deliveries to a webhook URL as SuperOffice would; without --body, "
            "--ndjson or --generate a single test event."
        )
        parser.add_argument("url", help=_("The webhook's URL."))
        parser.add_argument(
            "--secret",
            help=_("The secret to sign with; default: the environment variable %(name)s.")
            % {"name": SECRET_VARIABLE},
        )
        source = parser.add_mutually_exclusive_group()
        source.add_argument(
            "--body", metavar="FILE", help=_("Post this file, byte for byte; - is the input.")
        )
        source.add_argument(
            "--ndjson", metavar="FILE", help=_("Post each line of this file; - is the input.")
        )
        source.add_argument(
            "--generate", type=int, metavar="N", help=_("Post N deliveries of a believable week.")
        )
        parser.add_argument(
            "--seed", type=int, help=_("Generate the same week again; default: another each time.")
        )
        parser.add_argument(
            "--context",
            action="append",
            metavar="TENANT",
            help=_("Generate for this tenant, such as Cust12345; may be given several times."),
        )
        parser.add_argument(
            "--timeout",
            type=float,
            default=10.0,
            metavar="SECONDS",
            help=_("Seconds to wait for an answer; default: 10."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Post everything and sum up; anything but 200 for all is an error."""
        if options["generate"] is None and not (options["seed"] is options["context"] is None):
            raise CommandError(_("--seed and --context go with --generate."))
        if not 0 < options["timeout"] <= 3600:
            raise CommandError(_("--timeout takes seconds, more than 0 and at most 3600."))
        url, tally = options["url"], Tally()
        try:
            sender = Sender(url, _secret(options["secret"]), options["timeout"])
        except ValueError as error:
            raise CommandError(
                _("%(url)s is not a webhook's URL: %(reason)s") % {"url": url, "reason": error}
            ) from error
        with ExitStack() as stack:
            samples = _source(options, stack)
            shown = Progress(self.stdout, self.stderr, verbosity=options["verbosity"])
            try:
                post_all(stack.enter_context(sender), samples, tally, shown)
            except KeyboardInterrupt:
                raise CommandError(_("Stopped."), returncode=130) from None
            finally:
                if options["verbosity"] and tally.posted:
                    self.stdout.write(str(tally))
        if not tally.posted:
            raise CommandError(_("There is nothing to post: the input is empty."))
        if tally.failed:
            raise CommandError(
                _("Not answered with 200: %(failed)d of %(posted)d.")
                % {"failed": tally.failed, "posted": tally.posted}
            )


def _secret(given: str | None) -> str:
    secret = os.environ.get(SECRET_VARIABLE, "") if given is None else given
    if not secret.strip():
        raise CommandError(
            _(
                "There is no secret to sign with: the environment variable %(name)s is not set, or "
                "blank. Set it, or type --secret=… with the secret of the webhook."
            )
            % {"name": SECRET_VARIABLE}
        )
    return secret


def _source(options: dict[str, Any], stack: ExitStack) -> Iterable[Sample]:
    """Return what to post; files close with the stack."""
    path = options["body"] or options["ndjson"]
    if path is None:
        return _generated(options)
    try:
        file: BinaryIO = sys.stdin.buffer
        if path != "-":
            file = stack.enter_context(Path(path).open("rb"))  # noqa: SIM115  # the stack closes it
        if options["body"]:
            body = file.read()
            return [_sample(body)] if body else []
    except OSError as error:
        raise CommandError(
            _("%(path)s cannot be read: %(reason)s")
            % {"path": path, "reason": error.strerror or error}
        ) from error
    return (_sample(line.rstrip(b"\r\n")) for line in file if line.strip())


def _generated(options: dict[str, Any]) -> Iterator[Sample]:
    events = 1 if options["generate"] is None else options["generate"]
    if events < 1:
        raise CommandError(_("--generate takes a number of deliveries, 1 or more."))
    seed = secrets.randbits(32) if options["seed"] is None else options["seed"]
    contexts = options["context"]
    # The first delivery of every week is the test event.
    now = datetime.now(UTC)
    return week(events, seed, now, contexts) if contexts else week(events, seed, now)


def _sample(body: bytes) -> Sample:
    """Return a body of unknown content with the headers that SuperOffice would give it."""
    identity = _identity(body)
    headers = {"X-SuperOffice-Retry": "0"}
    for key in ("Event", "EventId"):
        value = identity.get(key)
        # What cannot stand in a header is left out: the body counts.
        if isinstance(value, str) and value.isascii() and value.isprintable():
            headers[f"X-SuperOffice-{key}"] = value
    if identity.get("Event") == "test":
        headers["X-Hook-Test"] = "true"
    return Sample(body, headers)


def _identity(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(sample: Sample, reply: Reply) -> str:
    """``200   12 ms  contact.changed 994863  recorded``."""
    event = sample.headers.get("X-SuperOffice-Event", "-")
    key = _identity(sample.body).get("PrimaryKey", "-")
    return (
        f"{reply.status} {reply.seconds * 1000:6.0f} ms  {event} {key}  {reply.text}"
        f"{f'({reply.hint})' if reply.hint else ''}"
    )
