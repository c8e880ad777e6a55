"""The smallest site that has the app; DATABASE_URL chooses another database than SQLite."""

import os
import tempfile
from pathlib import Path

import dj_database_url

SECRET_KEY = "tests-only"
ROOT_URLCONF = "tests.urls"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "superoffice_hooks",
]

MIDDLEWARE = [
    "tests.policy.strict_policy",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # What a cautious site adds; the webhook must not notice.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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

# A file, and not memory: simultaneous deliveries need connections of their own.
_FOLDER = Path(os.environ.get("TEST_DATABASE_FOLDER") or tempfile.mkdtemp())
DATABASES = {
    "default": dj_database_url.config(default=f"sqlite:///{_FOLDER / 'tests.sqlite3'}")
    | {"ATOMIC_REQUESTS": True}
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}

SECRET = "a-secret-of-the-tests-0123456789abcdef"
SUPEROFFICE_HOOKS = {"SECRETS": [SECRET]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
