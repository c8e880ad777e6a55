"""Settings of the demo site; environment variables replace what a real site would set.

``DATABASE_URL``, ``SUPEROFFICE_WEBHOOK_SECRET``, ``DJANGO_SECRET_KEY``, ``DJANGO_DEBUG`` (1 for
on) and ``DJANGO_ALLOWED_HOSTS`` (separated by commas). None of them is needed.
"""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or "demo-only-secret-key-never-use-it-elsewhere"
DEBUG = os.environ.get("DJANGO_DEBUG", "").lower() in ("1", "true", "yes", "on")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"] + [
    host for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "").replace(" ", "").split(",") if host
]

DEMO_WEBHOOK_SECRET = (
    os.environ.get("SUPEROFFICE_WEBHOOK_SECRET")
    or "demo-only-webhook-secret-never-use-it-elsewhere"
)
SUPEROFFICE_HOOKS = {
    "SECRETS": [DEMO_WEBHOOK_SECRET],
    "SPOOL_DIR": BASE_DIR / "demo-spool",
    "ASSOCIATE_NAME": "project.associates.associate_name",
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "superoffice_hooks",
    "project",
]

# Basic first: a browser then asks for the login, and a program needs nothing else.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.BasicAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ]
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The demo may empty this file; a database that DATABASE_URL names is somebody's own.
DEMO_DATABASE = BASE_DIR / "demo.sqlite3"


def _database() -> dict[str, Any]:
    url = os.environ.get("DATABASE_URL")
    if not url:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": DEMO_DATABASE}
    try:
        import dj_database_url
    except ImportError as error:
        raise ImproperlyConfigured(
            "DATABASE_URL needs dj-database-url: pip install superoffice-hooks[demo]"
        ) from error
    try:
        return dict(dj_database_url.parse(url))
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {error}") from error


DATABASES = {"default": _database()}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Readers do not wait for the writer, writers queue up, and what is answered 200 is on disk.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("nb", "norsk (bokmål)"),
    ("sv", "svenska"),
    ("da", "dansk"),
    ("de", "Deutsch"),
    ("nl", "Nederlands"),
]
# makemessages writes the texts of templates/, which lie in no app, here too.
LOCALE_PATHS = [BASE_DIR / "project" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"

# Who exported what is said at this level.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"superoffice_hooks.trail.export": {"handlers": ["console"], "level": "INFO"}},
}
