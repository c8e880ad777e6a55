"""System checks: each id, what raises it, what does not, and the way out it names."""

import os
import re
from functools import wraps
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, re_path, set_script_prefix

from superoffice_hooks import checks
from superoffice_hooks.checks import durability, spool
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


def said(**options):
    found = run_checks(tags=["superoffice_hooks"], **options)
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
    every = (
        *checks.CHECKS,
        *checks.DEPLOYMENT_CHECKS,
        *checks.DATABASE_CHECKS,
        *checks.DEPLOYED_DATABASE_CHECKS,
    )
    said_by_docstrings = " ".join(check.__doc__ for check in every)
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


def deployed(id_, **options):
    """What `check --deploy` says under this id."""
    found = said(include_deployment_checks=True, databases=[], **options)
    return [message for name, message in found if name == id_]


def asked(id_):
    """What `check --deploy --database default` says under this id."""
    found = run_checks(
        tags=["superoffice_hooks"], include_deployment_checks=True, databases=["default"]
    )
    return [message for message in found if message.id == f"superoffice_hooks.{id_}"]


def on(database, reason="about another database"):
    return pytest.mark.skipif(connection.vendor != database, reason=reason)


class TestTheSpool:
    @pytest.fixture
    def folder(self, tmp_path, settings):
        """A folder that is not made yet."""
        folder = tmp_path / "var" / "the spool"
        settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": str(folder)}
        return folder

    def test_none_is_missed_where_the_site_is_deployed(self):
        [message] = deployed("W009")
        assert "SPOOL_DIR" in message.msg
        assert "install -d -m 700 -o www-data /var/spool/superoffice_hooks" in message.hint
        assert "W009" not in [name for name, _ in said()]

    def test_a_folder_that_can_be_made_is_in_order(self, folder):
        assert deployed("W009") == deployed("E007") == deployed("W010") == []
        assert not folder.exists()

    def test_a_folder_of_its_own_is_in_order(self, folder):
        folder.mkdir(0o700, parents=True)
        assert deployed("E007") == deployed("W010") == []

    @pytest.mark.parametrize("where", [".", "..", "new"])
    def test_a_file_in_its_place(self, folder, where):
        place = folder / where
        place.resolve().parent.mkdir(parents=True, exist_ok=True)
        Path(os.path.normpath(place)).write_text("no folder")
        [message] = deployed("E007")
        assert "is not a folder" in message.msg
        assert message.is_serious()
        assert f"install -d -m 700 -o www-data '{folder}'" in message.hint

    @pytest.mark.parametrize("where", [".", "new"])
    def test_a_folder_that_this_user_may_not_write(self, folder, where, monkeypatch):
        place = folder / where
        place.mkdir(parents=True)
        real = os.access
        monkeypatch.setattr(  # root may write everywhere
            spool.os,
            "access",
            lambda path, mode: real(path, mode) and not (path == place and mode & os.W_OK),
        )
        [message] = deployed("E007")
        assert f"may not read and write {place}" in message.msg

    @pytest.mark.skipif(os.name != "posix", reason="a mode says nothing here")
    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
    def test_a_folder_that_others_can_open(self, folder, mode):
        folder.mkdir(parents=True)
        folder.chmod(mode)
        [message] = deployed("W010")
        assert f"{mode:o}" in message.msg
        assert message.hint == f"Type: chmod 700 '{folder}'"

    @on("sqlite")
    def test_on_the_disk_of_sqlites_file(self, folder, monkeypatch):
        file = folder.parents[1] / "db.sqlite3"
        file.touch()
        monkeypatch.setitem(connection.settings_dict, "NAME", file)
        [message] = deployed("W011")
        assert str(file) in message.msg
        assert 'SUPEROFFICE_HOOKS["SPOOL_DIR"]' in message.hint

    @on("sqlite")
    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a second file system")
    def test_on_another_disk(self, folder, monkeypatch):
        monkeypatch.setitem(connection.settings_dict, "NAME", "/proc/self/status")
        assert deployed("W011") == []

    @pytest.mark.django_db
    @pytest.mark.skipif(connection.vendor == "sqlite", reason="about servers")
    def test_on_the_disk_of_a_server_on_this_host(self, folder, monkeypatch):
        monkeypatch.setattr(spool, "_disk", lambda place: 1)
        [message] = asked("W011")
        assert "mysql" in message.msg or "postgresql" in message.msg
        monkeypatch.setattr(spool, "_disk", lambda place: len(str(place)))
        assert asked("W011") == []
        monkeypatch.setattr(spool, "_disk", lambda place: None)
        assert asked("W011") == []

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="about servers")
    def test_a_server_on_another_host_is_not_asked(self, folder, monkeypatch):
        monkeypatch.setitem(connection.settings_dict, "HOST", "db.example.com")
        assert checks.check_server_disk(None, databases=["default"]) == []

    def test_settings_that_are_nonsense_are_said_once(self, settings):
        settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": "relative"}
        found = [name for name, _ in said(include_deployment_checks=True, databases=[])]
        assert found.count("E002") == 1
        assert not {"W009", "E007", "W010", "W011"} & set(found)


class TestWhatTheDatabaseConfirms:
    @on("postgresql")
    @pytest.mark.django_db
    def test_postgresql_that_does_not_wait_for_the_disk(self):
        assert asked("W012") == []
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
            [message] = asked("W012")
            cursor.execute("SET LOCAL synchronous_commit = local")
            assert asked("W012") == []
        assert "synchronous_commit = off" in message.msg
        assert "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();" in message.hint

    @on("mysql")
    @pytest.mark.django_db
    def test_mariadb_as_it_is_installed_waits_for_the_disk(self):
        assert asked("W013") == []

    @pytest.mark.parametrize(
        ("told", "risks"),
        {
            "safe": ({"innodb_flush_log_at_trx_commit": "3", "log_bin": "0"}, []),
            "once a second": ({"innodb_flush_log_at_trx_commit": "2"}, ["innodb_flush_log_at_"]),
            "torn pages": ({"innodb_doublewrite": "OFF"}, ["innodb_doublewrite = off"]),
            "binary log": ({"log_bin": "1", "sync_binlog": "0"}, ["sync_binlog = 0"]),
            "no binary log": ({"log_bin": "0", "sync_binlog": "0"}, []),
        }.values(),
        ids=["safe", "once a second", "torn pages", "binary log", "no binary log"],
    )
    def test_mariadb_that_does_not_wait_for_the_disk(self, monkeypatch, told, risks):
        """Its settings are the whole server's: a test cannot change them."""
        names = ("innodb_flush_log_at_trx_commit", "innodb_doublewrite", "sync_binlog", "log_bin")
        row = tuple((dict.fromkeys(names, "1") | told)[name] for name in names)
        monkeypatch.setattr(durability, "_asked", lambda *args: Answering(row))
        found = checks.check_mariadb(None)
        assert len(found) == bool(risks)
        for message, risk in zip(found, risks, strict=True):
            assert risk in message.msg
            assert "[mysqld]" in message.hint

    @on("sqlite")
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("pragma", "back"), [("NORMAL", "FULL"), ("OFF", "FULL")])
    def test_sqlite_as_it_is_in_fact(self, pragma, back):
        assert asked("W014") == []
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA synchronous={pragma}")
            try:
                [message] = asked("W014")
            finally:
                cursor.execute(f"PRAGMA synchronous={back}")
        assert "synchronous = " in message.msg
        assert "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" in message.hint

    def test_a_database_that_may_not_be_asked_is_not(self):
        for check in checks.DEPLOYED_DATABASE_CHECKS:
            assert check(None) == check(None, databases=["other"]) == []


class Answering:
    """A connection whose every question has this answer."""

    def __init__(self, row):
        self.row = row

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def execute(self, sql):
        pass

    def fetchone(self):
        return self.row


class TestTheTimeToConnect:
    @pytest.fixture(autouse=True)
    def _no_variable(self, monkeypatch):
        monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)

    def said(self, monkeypatch, **options):
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
        return [message.msg for message in deployed("W015")]

    @on("sqlite")
    def test_sqlite_has_nobody_to_wait_for(self, monkeypatch):
        assert self.said(monkeypatch) == []

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="about servers")
    @pytest.mark.parametrize("timeout", [None, 0, 60, "soon"])
    def test_none_or_too_long(self, monkeypatch, timeout):
        [message] = self.said(monkeypatch, connect_timeout=timeout)
        assert ("no connect_timeout" in message) == (timeout is None)

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="about servers")
    @pytest.mark.parametrize("timeout", [1, 2, "2", 5])
    def test_short_enough(self, monkeypatch, timeout):
        assert self.said(monkeypatch, connect_timeout=timeout) == []

    @on("postgresql")
    def test_given_elsewhere(self, monkeypatch):
        assert self.said(monkeypatch, service="crm") == []
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
        assert self.said(monkeypatch) == []


def wrapped_plainly(view):
    def inner(*args, **kwargs):
        return view(*args, **kwargs)

    return inner


def wrapped_well(view):
    @wraps(view)
    def inner(*args, **kwargs):
        return view(*args, **kwargs)

    return inner


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("wrapped", [wrapped_plainly, wrapped_well])
def test_a_webhook_that_the_site_has_wrapped_may_not_be_in_a_transaction(
    monkeypatch, wrapped, atomic
):
    from superoffice_hooks.intake.view import webhook

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", atomic)
    patterns = ([path("webhook/", wrapped(webhook), name="webhook")], "superoffice_hooks")
    with override_settings(ROOT_URLCONF=(path("superoffice/", include(patterns)),)):
        found = [message for name, message in said() if name == "E008"]
    assert len(found) == (atomic and wrapped is wrapped_plainly)
    for message in found:
        assert 'django.db.transaction.non_atomic_requests(using="default")' in message.hint
        assert message.is_serious()


def test_a_wrapped_webhook_is_reached_and_another_view_is_not():
    from superoffice_hooks.intake.view import webhook

    hooks = path("superoffice/", include("superoffice_hooks.urls"))
    for view, told in ((wrapped_well(webhook), 0), (anything, 1)):
        with override_settings(ROOT_URLCONF=(path("superoffice/webhook/", view), hooks)):
            assert [name for name, _ in said()].count("W005") == told


def test_without_a_url_only_that_is_said():
    with override_settings(ROOT_URLCONF=(path("", anything),)):
        assert "E008" not in [name for name, _ in said()]
