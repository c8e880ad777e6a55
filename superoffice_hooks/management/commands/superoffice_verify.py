"""``manage.py superoffice_verify``: take in what was refused, once the secret is right."""

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from superoffice_hooks.intake.reprocess import verify_again
from superoffice_hooks.management.again import AgainCommand
from superoffice_hooks.models import Delivery, Outcome


class Command(AgainCommand):
    """Verifies every refused delivery again by the secrets that its endpoint has now."""

    outcome = Outcome.REFUSED

    def take(self, delivery: Delivery) -> Delivery:
        """Verify one."""
        return verify_again(delivery, "superoffice_verify")

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare which of them, and whether to write."""
        parser.description = _(
            "Verify the deliveries that were refused again, by the secrets of today's settings. "
            "What proves genuine is stored with the moment when it arrived."
        )
        super().add_arguments(parser)
