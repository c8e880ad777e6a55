"""System checks: what ``manage.py check`` says before SuperOffice finds out.

Ids are listed in the README and never used again for anything else.
"""

from django.core import checks

from superoffice_hooks.checks.database import (
    check_autocommit,
    check_packet,
    check_sqlite,
    check_time_zones,
)
from superoffice_hooks.checks.hooks_setting import check_endpoints, check_keys, check_values
from superoffice_hooks.checks.site import check_hosts, check_redirects, check_urls

CHECKS = (
    check_keys,
    check_values,
    check_endpoints,
    check_sqlite,
    check_autocommit,
    check_time_zones,
    check_redirects,
    check_hosts,
    check_urls,
)


def register() -> None:
    """Register every check with Django."""
    for check in CHECKS:
        checks.register(check, "superoffice_hooks")
    checks.register(check_packet, "superoffice_hooks", checks.Tags.database)
