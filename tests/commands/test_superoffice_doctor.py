"""``superoffice_doctor``: each thing it finds, what it says to type next, and its exit code."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from superoffice_hooks.alarms import Alarm
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.drain import drain
from superoffice_hooks.management.doctor import database, waiting
from superoffice_hooks.management.doctor.database import clock
from superoffice_hooks.models import Delivery, Outcome
from superoffice_hooks.signals import alarm_raised
from tests.builders import body, encode, post
from tests.trail.histories import store, told

ROOT = Path(__file__).parent.parent.parent
# What a test database may have against it, and its spool beside it.
OF_THE_MACHINE = ("W008", "W009", "W011", "W012", "W013", "W014", "W015")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _only_what_the_test_is_about(settings):
    settings.SILENCED_SYSTEM_CHECKS = [f"superoffice_hooks.{id_}" for id_ in OF_THE_MACHINE]


def doctor(*args):
    """Run the command; return its exit code and its findings as (level, what, next)."""
    out = io.StringIO()
    code = 0
    try:
        call_command("superoffice_doctor", *args, "--json", stdout=out)
    except SystemExit as end:
        code = end.code
    assert site.SECRET not in out.getvalue()
    told = json.loads(out.getvalue())
    assert told["worst"] == ("ok", "warning", "error")[code]
    return code, [(found["level"], found["what"], found["next"]) for found in told["findings"]]


def one(part, *args):
    """Run the command; return the exit code and the one finding that says this."""
    code, findings = doctor(*args)
    [found] = [found for found in findings if part in found[1]]
    return code, found


def hours_ago(hours):
    return (timezone.now() - timedelta(hours=hours)).isoformat()


def test_all_is_well():
    code, findings = doctor()
    assert code == 0
    assert {level for level, _, _ in findings} == {"ok"}
    assert len(findings) >= 5
    assert all(not type_next for _, _, type_next in findings)


def test_a_finding_is_a_line(spool, settings):
    blank = {"ENDPOINTS": {"a": {"SECRETS": [""]}}}
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | blank
    post(b"not JSON")
    out = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("superoffice_doctor", stdout=out, no_color=True)
    assert end.value.code == 2
    lines = out.getvalue().splitlines()
    assert 'error    superoffice_hooks.E003: Secret 1 of the endpoint "a" is blank.  → ' in lines[0]
    assert f"ok       Nothing was ever spooled: there is no folder {spool.folder} yet." in lines
    [line] = [line for line in lines if line.startswith("warning  Deliveries in quarantine: 1,")]
    assert line.endswith("python manage.py superoffice_reprocess --dry-run")
    assert settings.SECRET not in out.getvalue()


def test_the_worst_comes_first(spool, settings):
    post(b"not JSON")
    blank = {"ENDPOINTS": {"a": {"SECRETS": [""]}}}
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | blank
    code, findings = doctor()
    levels = [level for level, _, _ in findings]
    assert code == 2
    assert levels == sorted(levels, key=["error", "warning", "ok"].index)
    assert set(levels) == {"error", "warning", "ok"}


def test_what_carries_no_signature_is_told_and_is_no_warning():
    post(body(), signature="")
    code, (level, what, _) = one("carry no signature")
    assert (code, level) == (0, "ok")
    assert "registered without a secret" in what


def test_colours_and_quiet(spool):
    post(b"not JSON")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("superoffice_doctor", stdout=out, force_color=True, verbosity=0)
    [line] = out.getvalue().splitlines()
    assert line.startswith("\x1b[")
    assert "in quarantine" in line


class TestTheSettings:
    def test_a_check_of_a_deployment_is_asked_too(self, settings):
        settings.SILENCED_SYSTEM_CHECKS = [
            name for name in settings.SILENCED_SYSTEM_CHECKS if not name.endswith("W009")
        ]
        code, (level, _, next_) = one("W009")
        assert (code, level) == (1, "warning")
        assert "SPOOL_DIR" in next_

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
    def test_a_check_of_the_database_is_asked_too(self, settings):
        settings.SILENCED_SYSTEM_CHECKS = [
            name for name in settings.SILENCED_SYSTEM_CHECKS if not name.endswith("W014")
        ]
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")
            try:
                code, (level, _, _) = one("W014")
            finally:
                cursor.execute("PRAGMA synchronous=FULL")
        assert (code, level) == (1, "warning")

    def test_nonsense_is_a_finding(self, settings):
        settings.SUPEROFFICE_HOOKS = {"SECRETS": "text", "SPOOL_DIR": 7, "MAX_BODY_BYTES": -1}
        code, findings = doctor("--url", "http://127.0.0.1:9/")
        assert code == 2
        assert len([what for _, what, _ in findings if "E002" in what]) == 3


class TestTheSpool:
    def arrival(self):
        return Arrival(
            endpoint="default",
            received_at=timezone.now(),
            body=encode(body()),
            headers={},
            remote_address="",
            signature="",
            key_id="",
        )

    def test_what_waits(self, spool):
        spool.keep(self.arrival())
        spool.keep(self.arrival())
        code, (level, what, next_) = one("wait for the database")
        assert (code, level) == (1, "warning")
        assert "2 deliveries wait for the database, the oldest since 20" in what
        assert next_.endswith("type: python manage.py superoffice_drain")
        assert drain(spool) == {"recorded": 2}
        assert one("Nothing waits")[1][0] == "ok"

    def test_what_is_damaged(self, spool):
        aside = spool.set_aside(spool.keep(self.arrival()))
        code, (level, what, next_) = one("damaged")
        assert (code, level) == (2, "error")
        assert "damaged files, 1:" in what
        assert str(aside) in next_

    def test_that_cannot_be_read(self, settings, tmp_path):
        (tmp_path / "spool").write_text("no folder")
        settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"SPOOL_DIR": tmp_path / "spool"}
        code, (level, _, next_) = one("cannot be read")
        assert (code, level) == (2, "error")
        assert next_ == "Run this command as the user of the server."

    def test_a_disk_that_is_nearly_full(self, spool, monkeypatch):
        monkeypatch.setattr(waiting, "ROOM_FOR", 10**12)
        code, (level, _, next_) = one("MiB left")
        assert (code, level) == (1, "warning")
        assert f"df -h {spool.folder}" in next_


class TestTheDatabase:
    def test_that_is_away(self, tmp_path):
        """In a process of its own: this one's tests need theirs."""
        ended = subprocess.run(
            [sys.executable, "manage.py", "superoffice_doctor", "--json"],
            cwd=ROOT,
            env=os.environ
            | {
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "DATABASE_URL": f"sqlite:///{tmp_path}/no/such/folder/db.sqlite3",
            },
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert b"Traceback" not in ended.stderr
        found = json.loads(ended.stdout)["findings"]
        [away] = [one for one in found if "The database cannot be reached" in one["what"]]
        assert away["level"] == "error"
        assert away["next"].endswith("python manage.py dbshell --database default")
        assert any("W009" in one["what"] for one in found)

    def test_that_fails_a_question_is_asked_the_others(self, monkeypatch):
        def fails():
            raise OperationalError("a lock, of all things\nDETAIL: of a row")

        monkeypatch.setattr(database, "early", fails)
        code, findings = doctor()
        assert code == 2
        assert (
            "error",
            "The database failed a question (OperationalError a lock, of all things).",
            "See its log; then run this command again.",
        ) in findings
        assert "The quarantine is empty." in [what for _, what, _ in findings]

    def test_without_the_tables(self, monkeypatch):
        monkeypatch.setattr(database, "_missing_migrations", lambda alias: ["0001_initial"])
        code, (level, _, next_) = one("0001_initial missing")
        assert (code, level) == (2, "error")
        assert next_ == "Type: python manage.py migrate superoffice_hooks --database default"

    def test_missing_migrations_are_those_of_this_app(self):
        assert database._missing_migrations("default") == []
        call_command("migrate", "superoffice_hooks", "zero", verbosity=0)
        try:
            assert "0001_initial" in database._missing_migrations("default")
        finally:
            call_command("migrate", "superoffice_hooks", verbosity=0)

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock of its own")
    def test_its_clock(self):
        assert one("The database's clock")[1][0] == "ok"


@pytest.mark.parametrize(("ahead", "level"), [(4, 0), (-4, 0), (6, 1), (-6, 1)])
def test_clocks_may_differ_by_five_seconds(ahead, level):
    now = timezone.now()
    found = clock("That clock", now + timedelta(seconds=ahead), now, now)
    assert found.level == level
    assert ("timedatectl" in found.next) == bool(level)


class TestTheRows:
    def test_the_quarantine(self):
        post(b"not JSON")
        post(b"nor this")
        code, (level, what, next_) = one("in quarantine")
        assert (code, level) == (1, "warning")
        assert "Deliveries in quarantine: 2, the first of 20" in what
        assert "superoffice_reprocess --dry-run" in next_

    def test_what_was_refused(self):
        Delivery.objects.create(
            endpoint="default",
            received_at=timezone.now(),
            outcome=Outcome.REFUSED,
            signature="signed",
            body=b"{}",
        )
        code, (level, what, next_) = one("refused for their signature")
        assert (code, level) == (1, "warning")
        assert "1, the first of 20" in what
        assert "superoffice_verify --dry-run" in next_

    def test_more_than_are_counted(self, monkeypatch):
        monkeypatch.setattr("superoffice_hooks.trail.set_aside.MAX_COUNTED", 2)
        for number in range(3):
            post(f"not JSON {number}".encode())
        assert "Deliveries in quarantine: more than 2, the first of" in one("in quarantine")[1][1]

    def test_events_that_arrived_before_they_happened(self):
        post(body(Timestamp=hours_ago(-0.5)))
        post(body(Timestamp=hours_ago(-1)))
        post(body(Timestamp=hours_ago(1)))
        code, (level, what, _) = one("before they happened")
        assert (code, level) == (1, "warning")
        assert "Of the last 100 events 2 arrived" in what
        assert "3600 s" in what or "3599 s" in what

    def test_a_webhook_that_is_off(self):
        for event, hours, key in (("errors", 5, 19), ("stopped", 4, 20), ("started", 3, 20)):
            post(
                body(
                    Event=f"webhook{key}.{event}",
                    Entity=...,
                    PrimaryKey=key,
                    Timestamp=hours_ago(hours),
                )
            )
        post(body(Event="webhook.stopped", PrimaryKey=8, Timestamp=hours_ago(24 * 31)))
        code, (level, what, next_) = one("is off since")
        assert (code, level) == (2, "error")
        assert "Webhook 19 of tenant 'Cust24680' is off since 20" in what
        assert "Switch it on in SuperOffice" in next_

    def test_a_tenant_that_is_silent(self):
        store(*(told(hours) for hours in range(0, 24 * 9, 6)))
        heard = []

        def receiver(alarm, subject, **kwargs):
            heard.append((alarm, subject))

        alarm_raised.connect(receiver)
        try:
            code, (level, what, next_) = one("has sent nothing since")
        finally:
            alarm_raised.disconnect(receiver)
        assert (code, level) == (1, "warning")
        assert "silences of up to 6 hours count as usual" in what
        assert "Webhooks" in next_
        assert heard == [(Alarm.TENANT_SILENT, "Cust24680")]


class Proxy(ThreadingHTTPServer):
    """Stands where a site's proxy does, and answers by itself with ``answers``, in turn."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/superoffice/webhook/"


class Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if not self.server.answers:  # hang up in the middle of the body
            self.close_connection = True
            return
        status, headers, text = self.server.answers.pop(0)
        if status == 413:  # hang up without having read the body, as many do
            self.close_connection = True
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(status)
        for name, value in {"Server": "nginx", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


HTML = {"Content-Type": "text/html"}
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
TEST = (200, PLAIN, b"test\n")


class TestThePublicUrl:
    def test_both_test_events_arrive(self, live_server):
        code, findings = doctor("--url", f"{live_server.url}/superoffice/webhook/")
        assert code == 0
        said = [what for _, what, _ in findings]
        assert any(what.startswith("The test event arrived and was answered 200") for what in said)
        assert "A test event of 1 MiB arrived." in said
        assert "The clock of the URL's server agrees with this machine's." in said
        small, large = Delivery.objects.order_by("id")
        assert small.outcome == large.outcome == Outcome.TEST
        assert len(small.body) < 1_000
        assert len(large.body) > 2**20

    def test_the_secret_is_that_of_the_endpoint(self, live_server, settings):
        settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": [settings.SECRET]}}}
        url = f"{live_server.url}/superoffice/webhook/acme/"
        assert doctor("--url", url, "--endpoint", "acme")[0] == 0
        code, (level, _, next_) = one("no secret for the endpoint 'default'", "--url", url)
        assert (code, level) == (2, "error")
        assert "--endpoint" in next_

    def test_a_redirect(self, live_server, settings):
        settings.PREPEND_WWW = True
        url = f"{live_server.url}/superoffice/webhook/"
        code, (level, what, next_) = one("The URL redirects", "--url", url)
        assert (code, level) == (2, "error")
        assert "(301) to http://www." in what
        assert next_ == "Register the webhook with the URL that it redirects to."
        assert not Delivery.objects.exists()

    def test_the_webhooks_own_limit(self, live_server, settings):
        settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {"MAX_BODY_BYTES": 2**20}
        url = f"{live_server.url}/superoffice/webhook/"
        code, (level, what, next_) = one("413", "--url", url)
        assert (code, level) == (1, "warning")
        assert "by the webhook itself" in what
        assert "MAX_BODY_BYTES" in next_

    def test_the_limit_of_what_stands_before_it(self, proxy):
        proxy.answers = [TEST, (413, HTML, b"<h1>Request Entity Too Large</h1>")]
        code, (level, what, next_) = one("413", "--url", proxy.url)
        assert (code, level) == (2, "error")
        assert "answered 413 by nginx, before it reached the webhook" in what
        assert "client_max_body_size 10m" in next_
        assert "LimitRequestBody 10485760" in next_

    def test_a_connection_that_breaks_off_in_the_large_one(self, proxy):
        proxy.answers = [TEST]
        code, (level, what, next_) = one("cut off", "--url", proxy.url)
        assert (code, level) == (2, "error")
        assert "a small one arrived" in what
        assert "client_max_body_size 10m" in next_

    def test_another_answer_to_the_large_one(self, proxy):
        proxy.answers = [TEST, (502, HTML, b"<h1>Bad Gateway</h1>")]
        code, (level, what, _) = one("answered 502", "--url", proxy.url)
        assert (code, level) == (2, "error")
        assert "A test event of 1 MiB was answered 502, a small one 200." in what

    @pytest.mark.parametrize(
        ("answer", "level", "said", "type_next"),
        {
            "another secret": (
                (401, PLAIN, b"Wrong."),
                "error",
                "401",
                "this terminal and the server have the same secret",
            ),
            "no such page": ((404, HTML, b"<h1>"), "error", "404", "webhook/<endpoint>/"),
            "another host": ((400, HTML, b"<h1>"), "error", "400", "ALLOWED_HOSTS"),
            "a guard": ((403, HTML, b"<h1>"), "error", "403", "basic authentication"),
            "a broken gateway": ((502, HTML, b"<h1>"), "error", "502", "of the proxy before it"),
            "no database": (
                (503, PLAIN, b"Could not."),
                "error",
                "ms: Could not.",
                "server's log",
            ),
            "a page of somebody's": ((200, HTML, b"<h1>"), "error", "not the webhook", "says test"),
            "spooled": ((200, PLAIN, b"spooled\n"), "warning", "but spooled", "server's log"),
        }.values(),
        ids=lambda value: None,
    )
    def test_what_else_is_answered(self, proxy, answer, level, said, type_next):
        proxy.answers = [answer, TEST]
        code, found = one(said, "--url", proxy.url)
        assert (code, found[0]) == (2 if level == "error" else 1, level)
        assert type_next in found[2]

    def test_a_clock_that_is_wrong(self, proxy):
        proxy.answers = [
            (200, PLAIN | {"Date": "Mon, 02 Mar 2026 09:15:27 GMT"}, b"test\n"),
            TEST,
        ]
        assert one("The clock of the URL's server", "--url", proxy.url)[1][0] == "warning"

    @pytest.mark.parametrize("date", ["", "today", "Mon, 02 Mar 2026 09:15:27 -0000"])
    def test_a_clock_that_says_nothing(self, proxy, date):
        proxy.answers = [(200, PLAIN | {"Date": date}, b"test\n"), TEST]
        code, findings = doctor("--url", proxy.url)
        assert code == 0
        assert not [what for _, what, _ in findings if "The clock of the URL's server" in what]

    def test_no_tls_there(self, live_server):
        url = live_server.url.replace("http:", "https:")
        code, (level, _, next_) = one("speaks no TLS", "--url", f"{url}/superoffice/webhook/")
        assert (code, level) == (2, "error")
        assert "certificate" in next_

    def test_nobody_there(self):
        with socket.socket() as bound:  # and does not listen
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            code, (level, what, _) = one("No answer", "--url", f"http://127.0.0.1:{port}/")
        assert (code, level) == (2, "error")
        assert f"No answer from http://127.0.0.1:{port}/ (" in what

    def test_no_url_at_all(self):
        code, (level, _, next_) = one("is not a webhook's URL", "--url", "crm.example.com")
        assert (code, level, next_) == (2, "error", "Correct --url.")
