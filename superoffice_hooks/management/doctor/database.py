"""What only the database can tell: whether it is there, and what its rows have against them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import Error, connections, router, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.intake.deadline import Deadline, transaction_within
from superoffice_hooks.management.doctor.finding import Finding, error, ok, warning
from superoffice_hooks.management.doctor.settings import database_settings
from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.trail.clocks import early
from superoffice_hooks.trail.outages import still_off
from superoffice_hooks.trail.set_aside import set_aside
from superoffice_hooks.trail.silence import silences

PATIENCE: Final = 5.0  # seconds for one write
APART: Final = timedelta(seconds=5)  # by which two clocks may differ
OFF_SINCE: Final = timedelta(days=30)  # a webhook that is off for longer is meant to be

_CLOCK: Final = {"postgresql": "SELECT clock_timestamp()", "mysql": "SELECT UTC_TIMESTAMP(6)"}


def database() -> Iterator[Finding]:
    """Yield what the database tells; that it is away is a finding like any other."""
    alias = router.db_for_write(Event)
    try:
        connections[alias].ensure_connection()
        missing = _missing_migrations(alias)
    except Error as failure:
        yield error(
            f"The database cannot be reached ({_reason(failure)}).",
            f"See whether its server runs: python manage.py dbshell --database {alias}",
        )
        return
    if missing:
        yield error(
            f"The database has not all tables of superoffice_hooks: {', '.join(missing)} missing.",
            f"Type: python manage.py migrate superoffice_hooks --database {alias}",
        )
        return
    questions: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: database_settings(alias),
        lambda: _writes(alias),
        lambda: _clock(alias),
        _early_events,
        _quarantine,
        _refused,
        _webhooks,
        _silence,
    )
    for question in questions:
        try:
            yield from question()
        except Error as failure:
            yield error(
                f"The database failed a question ({_reason(failure)}).",
                "See its log; then run this command again.",
            )


def _missing_migrations(alias: str) -> list[str]:
    executor = MigrationExecutor(connections[alias])
    ours = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "superoffice_hooks"]
    return [
        migration.name
        for migration, _ in executor.migration_plan(ours)
        if migration.app_label == "superoffice_hooks"
    ]


def _writes(alias: str) -> Iterator[Finding]:
    """Try to write a delivery, and take it back."""
    try:
        with transaction_within(Deadline.after(PATIENCE), alias):
            Delivery(
                endpoint="superoffice_doctor", received_at=timezone.now(), outcome=Outcome.TEST
            ).save(using=alias, force_insert=True)
            transaction.set_rollback(True, using=alias)
    except Error as failure:
        yield error(
            f"The database takes no writes ({_reason(failure)}).",
            "See what holds its locks, and whether it is read only or its disk full.",
        )
    else:
        yield ok("The database takes writes.")


def _clock(alias: str) -> Iterator[Finding]:
    connection = connections[alias]
    if connection.vendor not in _CLOCK:
        return  # it has no clock of its own
    with connection.cursor() as cursor:
        before = timezone.now()
        cursor.execute(_CLOCK[connection.vendor])
        theirs: datetime = cursor.fetchone()[0]
        after = timezone.now()
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    yield clock("The database's clock", theirs, before, after)


def clock(whose: str, theirs: datetime, before: datetime, after: datetime) -> Finding:
    """Return whether a clock that was read between two moments agrees with this machine's."""
    apart = max(before - theirs, theirs - after, timedelta())
    if apart <= APART:
        return ok(f"{whose} agrees with this machine's.")
    return warning(
        f"{whose} and this machine's differ by {apart.total_seconds():.0f} s.",
        "On both machines type: timedatectl set-ntp true",
    )


def _early_events() -> Iterator[Finding]:
    found = early()
    if found.count:
        yield warning(
            f"Of the last 100 events {found.count} arrived before they happened, by up to "
            f"{found.most.total_seconds():.0f} s: this machine's clock is behind, or that of an "
            "on-site SuperOffice ahead.",
            "On both machines type: timedatectl set-ntp true",
        )


def _quarantine() -> Iterator[Finding]:
    found = set_aside(Outcome.QUARANTINED)
    if found.count:
        yield warning(
            f"Deliveries in quarantine: {found}.",
            "See what they need in the admin; after an upgrade or a corrected setting type: "
            "python manage.py superoffice_reprocess --dry-run",
        )
    else:
        yield ok("The quarantine is empty.")


def _refused() -> Iterator[Finding]:
    found = set_aside(Outcome.REFUSED)
    if found.count:
        yield warning(
            f"Deliveries that were refused for their signature: {found}.",
            "Where the secret in SuperOffice differs from that of the settings, correct it and "
            "type: python manage.py superoffice_verify --dry-run",
        )
    else:
        yield ok("No refused delivery is kept that could yet be verified.")
    if Delivery.objects.filter(outcome=Outcome.REFUSED, signature="").exists():
        yield ok(
            "Some are kept that carry no signature, and can never be verified: a stranger's, or of "
            "a webhook that was registered without a secret."
        )


def _webhooks() -> Iterator[Finding]:
    stopped = still_off(timezone.now() - OFF_SINCE)
    for event in stopped:
        yield error(
            f"Webhook {event.primary_key} of tenant {event.context_identifier!r} is off since "
            f"{event.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, as {event.name} says.",
            "Switch it on in SuperOffice: Settings and maintenance, Webhooks.",
        )
    if not stopped:
        yield ok("No webhook is known to be off.")


def _silence() -> Iterator[Finding]:
    found = silences()
    for silence in found:
        sound(Alarm.TENANT_SILENT, silence.context_identifier, str(silence))
        yield warning(
            str(silence),
            "See in SuperOffice whether its webhook is on: Settings and maintenance, Webhooks.",
        )
    if not found:
        yield ok("No tenant is silent for longer than usual.")


def _reason(failure: Error) -> str:
    """Return the kind of the error and its first line, which holds no values of rows."""
    return f"{type(failure).__name__} {failure}".splitlines()[0].strip().rstrip(".")
