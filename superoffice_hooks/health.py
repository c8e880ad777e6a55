"""Checks for django-health-check, which the extra ``[health]`` installs.

::

    from health_check.views import HealthCheckView

    path("health/", HealthCheckView.as_view(checks=[
        "superoffice_hooks.health.Spool",
        ("superoffice_hooks.health.Quarantine", {"within": timedelta(hours=1)}),
    ]))

The only module that imports it. What a check raises holds no personal data; tenants and endpoints
are named.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, router
from django.utils import timezone
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from superoffice_hooks.alarms import Alarm, sound
from superoffice_hooks.conf import conf
from superoffice_hooks.intake import spool
from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.trail.set_aside import set_aside
from superoffice_hooks.trail.silence import silences

DAY: Final = timedelta(days=1)


@dataclass
class Spool(HealthCheck):
    """Fails while deliveries wait in the spool, and for good where files in it are damaged.

    ``waiting`` is how many may wait. Without ``SPOOL_DIR`` there is nothing to look at.
    """

    waiting: int = 0

    def run(self) -> None:
        """Look into the folder; the database is not asked."""
        try:
            folder = conf.spool_dir
        except ImproperlyConfigured as error:
            raise ServiceUnavailable(str(error)) from error
        if folder is None:
            return
        kept = spool.Spool(folder)
        try:
            waiting, damaged = len(kept.waiting()), len(kept.damaged())
        except OSError as error:
            raise ServiceUnavailable("The spool cannot be read.") from error
        if damaged:
            raise ServiceUnavailable(
                f"{damaged} files in the spool are damaged, and {waiting} deliveries wait."
            )
        if waiting > self.waiting:
            raise ServiceWarning(f"{waiting} deliveries wait in the spool.")
        if foreign := len(kept.foreign()):
            raise ServiceWarning(f"{foreign} deliveries in the spool wait for another database.")


@dataclass
class Quarantine(HealthCheck):
    """Fails while a delivery that was quarantined has arrived ``within`` the last day."""

    within: timedelta = DAY

    def run(self) -> None:
        """Ask for the newest of them."""
        _none_since(Outcome.QUARANTINED, self.within, "in quarantine")


@dataclass
class Refusals(HealthCheck):
    """Fails while a delivery that was refused and kept has arrived ``within`` the last day."""

    within: timedelta = DAY

    def run(self) -> None:
        """Ask for the newest of them."""
        _none_since(Outcome.REFUSED, self.within, "refused for their signature")


@dataclass
class Silence(HealthCheck):
    """Fails while a tenant is silent for longer than usual; sounds the alarm for each of them."""

    timeout: ClassVar[timedelta] = timedelta(seconds=30)  # many tenants are many queries

    def run(self) -> None:
        """Ask how long each tenant has been silent."""
        with _database():
            found = silences()
        for silence in found:
            sound(Alarm.TENANT_SILENT, silence.context_identifier, str(silence))
        if found:
            raise ServiceWarning(" ".join(str(silence) for silence in found))


def _none_since(outcome: Outcome, within: timedelta, state: str) -> None:
    with _database():
        found = set_aside(outcome)
    if found.last is not None and timezone.now() - found.last < within:
        raise ServiceWarning(f"Deliveries {state}: {found}.")


@contextmanager
def _database() -> Iterator[None]:
    """Fail as a service does where the database is away, and leave no connection behind.

    The checks run in threads that nobody ends the requests of.
    """
    connection = connections[router.db_for_read(Delivery)]
    try:
        with connection.temporary_connection():
            yield
    except Error as error:
        raise ServiceUnavailable("The database is away.") from error
