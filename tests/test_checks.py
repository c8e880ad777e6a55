"""System checks: each id, what raises it, what does not, and the way out it names."""

import re
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.http import HttpResponse
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, re_path, set_script_prefix

from superoffice_hooks import checks
from superoffice_hooks.conf import KEYS, Endpoint

LONG = "a-secret-that-is-long-enough-0123456789"
OURS = path("superoffice/", include("superoffice_hooks.urls"))
ROOT = Path(__file__).parent.parent


def find(name):
    return Endpoint(name, ())


def anything(request, **kwargs):
    return HttpResponse()


def hooks(**keys):
    return {"SUPEROFFICE_HOOKS": keys}


def said():
    found = run_checks(tags=["superoffice_hooks"])
    return [(message.id.removeprefix("superoffice_hooks."), message) for message in found]


PROXY = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
UNUSED = [name for name in site.MIDDLEWARE if "Security" not in name and "Common" not in name]

# What triggers it: the settings, a part of the message, a part of the hint.
TRIGGERS = {
    "E001 a misspelt key": ("E001", hooks(SECRETS=[LONG], MAX_BODY=9), '"MAX_BODY"', "MAX_BODY_B"),
    "E001 a key in small letters": ("E001", hooks(SECRETS=[LONG], secrets=[]), '"secrets"', "SECR"),
    "E001 a key that is no string": ("E001", {"SUPEROFFICE_HOOKS": {1: 2}}, '"1"', "Known keys"),
    "E002 not a dict": ("E002", {"SUPEROFFICE_HOOKS": [LONG]}, "must be a dict", "README"),
    "E002 SECRETS is a string": ("E002", hooks(SECRETS=LONG), "list of strings", "README"),
    "E002 a path that does not import": ("E002", hooks(ENDPOINTS="no.where"), "imported", "README"),
    "E002 default twice": (
        "E002",
        hooks(SECRETS=[LONG], ENDPOINTS={"default": {"SECRETS": [LONG]}}),
        "twice",
        "README",
    ),
    "E002 a size that is no number": ("E002", hooks(MAX_BODY_BYTES="1 MB"), "positive", "README"),
    "E002 a scope that does not import": (
        "E002",
        hooks(SECRETS=[LONG], CONTEXTS_FOR_USER="no.where"),
        "CONTEXTS_FOR_USER",
        "README",
    ),
    "E002 a name from no callable": (
        "E002",
        hooks(SECRETS=[LONG], ASSOCIATE_NAME={"Cust1": {7: "Kari"}}),
        'SUPEROFFICE_HOOKS["ASSOCIATE_NAME"] must be a callable',
        "README",
    ),
    "E002 a name from a path that does not import": (
        "E002",
        hooks(SECRETS=[LONG], ASSOCIATE_NAME="no.where"),
        "SUPEROFFICE_HOOKS[\"ASSOCIATE_NAME\"]: 'no.where' cannot be imported",
        "README",
    ),
    "E002 programs without a tenant": (
        "E002",
        hooks(SECRETS=[LONG], INTEGRATION_USERS=[7]),
        'SUPEROFFICE_HOOKS["INTEGRATION_USERS"] must be a dict',
        "README",
    ),
    "E002 a program by its name": (
        "E002",
        hooks(SECRETS=[LONG], INTEGRATION_USERS={"Cust1": ["API"]}),
        'SUPEROFFICE_HOOKS["INTEGRATION_USERS"]["Cust1"] must be a list of integers',
        "README",
    ),
    "E002 one URL for all": (
        "E002",
        hooks(SECRETS=[LONG], RECORD_URLS="https://crm.example.com/{primary_key}"),
        'SUPEROFFICE_HOOKS["RECORD_URLS"] must be a dict',
        "README",
    ),
    "E002 a URL that is a script": (
        "E002",
        hooks(SECRETS=[LONG], RECORD_URLS={"sale": "javascript:alert(1)"}),
        'SUPEROFFICE_HOOKS["RECORD_URLS"]["sale"] must be a URL',
        "README",
    ),
    "E002 an unknown name in a URL": (
        "E002",
        hooks(SECRETS=[LONG], RECORD_URLS={"sale": "https://crm.example.com/{sale_id}"}),
        'SUPEROFFICE_HOOKS["RECORD_URLS"]["sale"] may name {context_identifier}, {entity} and',
        "README",
    ),
    "E002 technical fields of no entity": (
        "E002",
        hooks(SECRETS=[LONG], TECHNICAL_FIELDS=["updated"]),
        'SUPEROFFICE_HOOKS["TECHNICAL_FIELDS"] must be a dict',
        "README",
    ),
    "E002 technical fields in one string": (
        "E002",
        hooks(SECRETS=[LONG], TECHNICAL_FIELDS={"*": "updated"}),
        'SUPEROFFICE_HOOKS["TECHNICAL_FIELDS"]["*"] must be a list of strings',
        "README",
    ),
    "E003 an empty secret": ("E003", hooks(SECRETS=[LONG, ""]), "Secret 2", "environment variable"),
    "E003 a secret of spaces": ("E003", hooks(SECRETS=[" \t"]), "blank", "environment variable"),
    "E003 in an endpoint": ("E003", hooks(ENDPOINTS={"a": {"SECRETS": [""]}}), '"a"', "never"),
    "E004 a name with a space": (
        "E004",
        hooks(ENDPOINTS={"a b": {"SECRETS": [LONG]}}),
        '"a b"',
        "letters, digits, hyphens",
    ),
    "E004 an empty name": ("E004", hooks(ENDPOINTS={"": {"SECRETS": [LONG]}}), '""', "letters"),
    "E004 a number": ("E004", hooks(ENDPOINTS={7: {"SECRETS": [LONG]}}), '"7"', "letters"),
    "W001 nothing configured": ("W001", hooks(), "every delivery will be refused", "os.environ"),
    "W001 no secret": ("W001", hooks(ENDPOINTS={"a": {}}), "No endpoint has a secret", "SECRETS"),
    "W001 only a blank secret": ("W001", hooks(SECRETS=[""]), "No endpoint has a secret", "SECRE"),
    "W002 31 bytes": ("W002", hooks(SECRETS=["x" * 31]), "Secret 1", "token_urlsafe(32)"),
    "W004 to TLS without a proxy header": (
        "W004",
        {"SECURE_SSL_REDIRECT": True},
        "SECURE_SSL_REDIRECT",
        "SECURE_PROXY_SSL_HEADER",
    ),
    "E005 no time zones": ("E005", {"USE_TZ": False}, "USE_TZ is off", "USE_TZ = True"),
    "W004 to www": ("W004", {"PREPEND_WWW": True}, "PREPEND_WWW", "https://www."),
    "W007 a line break after the secret": (
        "W007",
        hooks(SECRETS=[f"{LONG}\n"]),
        "white space",
        ".strip()",
    ),
    "W006 no hosts": ("W006", {"ALLOWED_HOSTS": []}, "ALLOWED_HOSTS is empty", "host name"),
    "W005 no URL": (
        "W005",
        {"ROOT_URLCONF": (path("", anything),)},
        "no URL",
        "superoffice_hooks.urls",
    ),
    "W005 hidden by another pattern": (
        "W005",
        {"ROOT_URLCONF": (re_path("^.*/$", anything), OURS)},
        "/superoffice/webhook/ does not reach the webhook",
        "up in urlpatterns",
    ),
    "W005 only the form without slash is hidden": (
        "W005",
        {"ROOT_URLCONF": (path("superoffice/<slug:page>", anything), OURS)},
        "/superoffice/webhook does not reach the webhook",
        "up in urlpatterns",
    ),
}


def test_a_webhook_that_is_exempt_from_tls_is_not_redirected():
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=["^superoffice/"]):
        assert "W004" not in [name for name, _ in said()]
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=["^other/"]):
        assert "W004" in [name for name, _ in said()]


@pytest.mark.parametrize(("id_", "changed", "message", "hint"), TRIGGERS.values(), ids=TRIGGERS)
def test_a_check_says_what_is_wrong_and_what_to_do(id_, changed, message, hint):
    with override_settings(**changed):
        [found, *others] = [found for name, found in said() if name == id_]
    assert others == []
    assert message in found.msg
    assert hint in found.hint
    assert found.is_serious() == id_.startswith("E")
    assert LONG not in f"{found.msg} {found.hint}"


QUIET = {
    "the settings of these tests": {},
    "every key": hooks(
        SECRETS=[LONG],
        ENDPOINTS={"acme-1_x": {"SECRETS": [LONG, LONG + "2"], "CONTEXTS": ["Cust1"]}},
        MAX_BODY_BYTES=1000,
        CONTEXTS_FOR_USER="tests.test_conf.sees_nothing",
        ASSOCIATE_NAME="tests.test_conf.name_of",
        INTEGRATION_USERS={"Cust1": [7]},
        RECORD_URLS={"*": "https://crm.example.com/{context_identifier}/{entity}/{primary_key}"},
        TECHNICAL_FIELDS={"*": ["updated"], "contact": ["soundEx"]},
    ),
    "integration users from a callable": hooks(
        SECRETS=[LONG], INTEGRATION_USERS="tests.test_conf.programs_of"
    ),
    "a secret of exactly 32 bytes": hooks(SECRETS=["x" * 32]),
    "a secret of 16 characters in 32 bytes": hooks(SECRETS=["ø" * 16]),
    "one endpoint waits for its secret": hooks(SECRETS=[LONG], ENDPOINTS={"soon": {"SECRETS": []}}),
    "endpoints that cannot be listed": hooks(ENDPOINTS="tests.test_checks.find"),
    "TLS behind a proxy": {"SECURE_SSL_REDIRECT": True} | PROXY,
    "redirects without their middleware": {
        "SECURE_SSL_REDIRECT": True,
        "PREPEND_WWW": True,
        "MIDDLEWARE": UNUSED,
    },
    "a catch-all after the webhook": {"ROOT_URLCONF": (OURS, re_path("^.*$", anything))},
}


def test_each_key_with_a_wrong_value_is_reported():
    keys = [key for key in KEYS if key != "SECRETS"]  # which the wrong ENDPOINTS hides
    with override_settings(**hooks(**{key: [7] for key in keys})):
        found = [message.msg for name, message in said() if name == "E002"]
    assert len(found) == len(keys)
    for key in keys:
        assert len([message for message in found if f'SUPEROFFICE_HOOKS["{key}"]' in message]) == 1


@pytest.mark.parametrize("changed", QUIET.values(), ids=QUIET)
def test_the_checks_are_silent_where_nothing_is_wrong(changed):
    with override_settings(**changed):
        assert said() == []


def test_a_site_below_a_prefix_reaches_its_webhook():
    set_script_prefix("/site/")
    try:
        assert said() == []
    finally:
        clear_script_prefix()


WAL = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
ON_SQLITE = pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")


@ON_SQLITE
@pytest.mark.parametrize(
    ("options", "missing"),
    {
        "nothing set": ({}, ["IMMEDIATE", "journal_mode=WAL", "synchronous=FULL"]),
        "no WAL": (
            {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=FULL"},
            ["journal_mode=WAL"],
        ),
        "synchronous is NORMAL": (
            {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
            },
            ["synchronous=FULL"],
        ),
        "DEFERRED": ({"transaction_mode": "DEFERRED", "init_command": WAL}, ["IMMEDIATE"]),
    }.values(),
    ids=["nothing set", "no WAL", "synchronous is NORMAL", "DEFERRED"],
)
def test_sqlite_options_that_lose_deliveries_are_named(monkeypatch, options, missing):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    [(id_, message)] = said()
    assert id_ == "W003"
    for option in ("IMMEDIATE", "journal_mode=WAL", "synchronous=FULL"):
        assert (option in message.msg) == (option in missing)
    assert '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"' in message.hint


@ON_SQLITE
@pytest.mark.parametrize(
    "options",
    [
        {"transaction_mode": "immediate", "init_command": WAL.lower()},
        {
            "transaction_mode": "IMMEDIATE",
            "init_command": "pragma journal_mode = wal;\npragma synchronous = extra",
        },
    ],
    ids=["in small letters", "with spaces, EXTRA"],
)
def test_sqlite_options_are_understood_however_they_are_written(monkeypatch, options):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    assert said() == []


@pytest.mark.django_db
def test_manage_py_check_runs_them():
    call_command("check")
    with override_settings(**hooks(SECRETS=[""])), pytest.raises(SystemCheckError, match="E003"):
        call_command("check")
    with override_settings(**hooks()), pytest.raises(SystemCheckError, match="W001"):
        call_command("check", fail_level="WARNING")


MODULES = sorted(Path(checks.__file__).parent.glob("*.py"))
USED = re.findall(
    r'id="superoffice_hooks\.(\w+)"', "".join(module.read_text() for module in MODULES)
)


def test_each_id_has_one_meaning():
    said_by_docstrings = " ".join(check.__doc__ for check in (*checks.CHECKS, checks.check_packet))
    assert sorted(re.findall(r"([EW]\d{3}):", said_by_docstrings)) == sorted(set(USED))


@pytest.mark.parametrize("id_", sorted(set(USED)))
def test_the_readme_lists_the_check(id_):
    rows = [row for row in (ROOT / "README.md").read_text().splitlines() if row.startswith("|")]
    assert len([row for row in rows if id_ in row]) == 1


@pytest.mark.parametrize("key", KEYS)
def test_the_readme_lists_the_key(key):
    rows = (ROOT / "README.md").read_text().splitlines()
    assert len([row for row in rows if row.startswith(f"| `{key}` |")]) == 1


def test_e006_without_autocommit(monkeypatch):
    assert "E006" not in [name for name, _ in said()]
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    [message] = [message for name, message in said() if name == "E006"]
    assert "AUTOCOMMIT off" in message.msg
    assert "Remove AUTOCOMMIT" in message.hint


@pytest.mark.django_db
def test_w008_asks_mariadb_for_its_packet():
    def found(limit):
        with override_settings(**hooks(SECRETS=[LONG], MAX_BODY_BYTES=limit)):
            return [message.id for message in checks.check_packet(None, databases=["default"])]

    assert found(1024) == []
    if connection.vendor != "mysql":
        assert found(2**40) == []
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        [packet] = cursor.fetchone()
    assert found(packet // 4) == []
    assert found(packet // 4 + 1) == ["superoffice_hooks.W008"]
    assert checks.check_packet(None) == []
