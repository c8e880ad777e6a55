"""The app, as Django loads it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SuperOfficeHooksConfig(AppConfig):
    """Registers the system checks; nothing here touches the database."""

    name = "superoffice_hooks"
    verbose_name = _("SuperOffice audit trail")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from superoffice_hooks import checks

        checks.register()
