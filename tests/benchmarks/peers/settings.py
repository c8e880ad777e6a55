"""The site that is measured: what ``startproject`` writes, the app, and what it is compared with.

``DATABASE_URL`` and ``SPOOL_DIR`` (none where it is not set) come from the environment, and so
does ``BENCHMARK_APPS``: ``all``, or for the cost of a start ``site`` (what ``startproject``
writes), ``requirements`` (and what the app needs), ``uses`` (and a view of what it needs) or
``app`` (and the app, without that view).
"""

import os
from importlib.util import find_spec
from typing import Any

import dj_database_url

CHOSEN = os.environ.get("BENCHMARK_APPS", "all")
HAS_AUDITLOG = CHOSEN == "all" and find_spec("auditlog") is not None
HAS_DJSTRIPE = CHOSEN == "all" and find_spec("djstripe") is not None

SECRET_KEY = "benchmarks-only"
SECRET = "a-secret-of-the-benchmarks-0123456789"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "tests.benchmarks.peers.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
if CHOSEN != "site":
    INSTALLED_APPS += ["rest_framework", "django_filters"]
if CHOSEN in ("app", "all"):
    INSTALLED_APPS += ["superoffice_hooks"]
if CHOSEN == "all":
    INSTALLED_APPS += ["tests.benchmarks.peers"]
if HAS_AUDITLOG:
    INSTALLED_APPS += ["auditlog"]
if HAS_DJSTRIPE:
    INSTALLED_APPS += ["djstripe"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, Any] = {
    "default": dj_database_url.config(default="sqlite:///benchmark.sqlite3", conn_max_age=None)
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }

SUPEROFFICE_HOOKS: dict[str, Any] = {"SECRETS": [SECRET]}
if os.environ.get("SPOOL_DIR"):
    SUPEROFFICE_HOOKS["SPOOL_DIR"] = os.environ["SPOOL_DIR"]

# dj-stripe asks for a key: this one is nobody's. What would call Stripe finds a closed port.
STRIPE_TEST_SECRET_KEY = "sk_test_benchmarksbenchmarks00000000"
STRIPE_API_HOST = "http://127.0.0.1:9"
STRIPE_LIVE_MODE = False
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
# Its migrations take a minute to make its tables. What they refer to must then be made so too.
UNMIGRATED = ("admin", "auditlog", "auth", "contenttypes", "djstripe", "sessions")
MIGRATION_MODULES = dict.fromkeys(UNMIGRATED) if HAS_DJSTRIPE else {}
