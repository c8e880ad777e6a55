"""System checks: what ``manage.py check`` says before SuperOffice finds out.

Ids are listed in the README and never used again for anything else.
"""

from typing import Final

from django.core import checks

from superoffice_hooks.checks.database import (
    check_autocommit,
    check_packet,
    check_sqlite,
    check_time_zones,
)
from superoffice_hooks.checks.durability import (
    check_connect_timeout,
    check_mariadb,
    check_postgresql,
    check_sqlite_file,
)
from superoffice_hooks.checks.hooks_setting import check_endpoints, check_keys, check_values
from superoffice_hooks.checks.site import (
    check_hosts,
    check_redirects,
    check_transactions,
    check_urls,
)
from superoffice_hooks.checks.spool import check_disk, check_server_disk, check_spool

TAG: Final = "superoffice_hooks"

CHECKS: Final = (
    check_keys,
    check_values,
    check_endpoints,
    check_sqlite,
    check_autocommit,
    check_time_zones,
    check_redirects,
    check_hosts,
    check_urls,
    check_transactions,
)
# What matters where the site runs in earnest: `check --deploy`.
DEPLOYMENT_CHECKS: Final = (check_spool, check_disk, check_connect_timeout)
# What asks the database: `check --database default`, the latter with --deploy too.
DATABASE_CHECKS: Final = (check_packet,)
DEPLOYED_DATABASE_CHECKS: Final = (
    check_server_disk,
    check_postgresql,
    check_mariadb,
    check_sqlite_file,
)


def register() -> None:
    """Register every check with Django."""
    for check in CHECKS:
        checks.register(check, TAG)
    for check in DEPLOYMENT_CHECKS:
        checks.register(check, TAG, deploy=True)
    for check in DATABASE_CHECKS:
        checks.register(check, TAG, checks.Tags.database)
    for check in DEPLOYED_DATABASE_CHECKS:
        checks.register(check, TAG, checks.Tags.database, deploy=True)
