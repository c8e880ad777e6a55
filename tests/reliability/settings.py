"""The site of the tests with a database, a spool and faults from the environment.

``DATABASE_URL``, ``SPOOL_DIR`` (none where it is not set), ``SQLITE_MODE`` (IMMEDIATE),
``CRASH``, ``FAIL``, ``CLOCK`` and ``PLANTED`` (see ``crash``, ``clock`` and ``faulty``).
"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, SECRET

INSTALLED_APPS = [*INSTALLED_APPS, "tests.reliability.apps.FaultsConfig"]
SUPEROFFICE_HOOKS = {"SECRETS": [SECRET]}
if os.environ.get("SPOOL_DIR"):
    SUPEROFFICE_HOOKS["SPOOL_DIR"] = os.environ["SPOOL_DIR"]
if os.environ.get("REFUSED_COUNT"):
    SUPEROFFICE_HOOKS["REFUSED_SAMPLE"] = {"COUNT": int(os.environ["REFUSED_COUNT"])}

DATABASES["default"]["CONN_MAX_AGE"] = 600
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"]["transaction_mode"] = os.environ.get("SQLITE_MODE", "IMMEDIATE")
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["OPTIONS"] = {"connect_timeout": 2}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # One line for each post that is turned away would be the flood once more.
    "loggers": {"django.request": {"level": "CRITICAL"}},
}
