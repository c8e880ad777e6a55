"""``superoffice_send`` against a server that records what it gets and answers by script."""

import base64
import hashlib
import hmac
import io
import json
import socket
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from superoffice_hooks.management.commands.superoffice_send import Progress, post_all
from superoffice_hooks.samples import week
from superoffice_hooks.sender import Sender, Tally

SECRET = "a-secret-of-these-tests-0123456789"


@pytest.fixture(autouse=True)
def no_secret_of_the_environment(monkeypatch):
    monkeypatch.delenv("SUPEROFFICE_WEBHOOK_SECRET", raising=False)


def send(*args, **options) -> tuple[str, str, CommandError | None]:
    """Run the command; return what it printed, its failures, and the error that ended it."""
    out, err = io.StringIO(), io.StringIO()
    options = {"secret": SECRET} | options
    try:
        call_command("superoffice_send", *args, stdout=out, stderr=err, **options)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), error
    return out.getvalue(), err.getvalue(), None


def test_a_single_test_event_by_default(server):
    out, err, error = send(server.url)
    [(path, headers, body)] = server.requests
    assert path == "/hooks/webhook/"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["User-Agent"] == "NetServer-Webhook/superoffice_hooks"
    assert headers["X-Hook-Test"] == "true"
    assert headers["X-SuperOffice-Event"] == json.loads(body)["Event"] == "test"
    assert headers["X-SuperOffice-EventId"] == json.loads(body)["EventId"]
    assert headers["X-SuperOffice-Retry"] == "0"
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    assert headers["X-SuperOffice-Signature"] == base64.b64encode(digest).decode()
    line, summary = out.splitlines()
    assert line.startswith("200 ")
    assert line.endswith(" ms  test 0  recorded")
    assert summary.startswith("1 posted in ")
    assert summary.endswith("/s): 1 recorded")
    assert (err, error) == ("", None)


def test_a_body_is_posted_byte_for_byte(server, tmp_path):
    body = b'\xef\xbb\xbf {"Event" :"contact.changed","PrimaryKey":9}\r\n\r\n'
    (tmp_path / "body.json").write_bytes(body)
    _, _, error = send(server.url, body=str(tmp_path / "body.json"))
    [(_, headers, posted)] = server.requests
    assert posted == body
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    assert headers["X-SuperOffice-Signature"] == base64.b64encode(digest).decode()
    assert error is None


def test_each_line_of_ndjson_is_a_body(server, tmp_path):
    lines = [b' {"Event":"sale.sold", "PrimaryKey":1}\t', b"not json", b'{"Event":"\\n\xc3\xa5"}']
    (tmp_path / "events.ndjson").write_bytes(b"\n".join([lines[0], b"", b"  ", *lines[1:]]))
    out, _, error = send(server.url, ndjson=str(tmp_path / "events.ndjson"))
    assert [body for _, _, body in server.requests] == lines
    assert server.requests[0][1]["X-SuperOffice-Event"] == "sale.sold"
    assert "X-SuperOffice-Event" not in server.requests[1][1]
    assert "X-SuperOffice-Event" not in server.requests[2][1]
    assert "sale.sold 1  recorded" in out
    assert "3 posted" in out
    assert error is None


def test_ndjson_from_the_input(server, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a":1}\n{"a":2}\n')))
    _, _, error = send(server.url, ndjson="-")
    assert [body for _, _, body in server.requests] == [b'{"a":1}', b'{"a":2}']
    assert error is None


def test_generated_deliveries_use_one_connection(server):
    out, _, error = send(server.url, generate=30, seed=5, context=["Cust77"])
    assert len(server.requests) == 30
    assert server.connections == 1
    assert b'"ContextIdentifier":"Default"' in server.requests[0][2]
    assert all(b'"ContextIdentifier":"Cust77"' in posted[2] for posted in server.requests[1:])
    *lines, summary = out.splitlines()
    assert len(lines) == 30
    assert all(line.startswith("200 ") and " ms  " in line for line in lines)
    assert summary.startswith("30 posted in ")
    assert error is None


def test_a_connection_that_the_server_closed_is_opened_again(server):
    server.script = [(200, "recorded\n", {"Connection": "drop"})]
    _, _, error = send(server.url, generate=3)
    assert len(server.requests) == 3
    assert server.connections == 2
    assert error is None


def paced(server, total, out):
    """Post as the demo does: the pace is shown, and not each post."""
    progress = Progress(OutputWrapper(out), OutputWrapper(io.StringIO()), total)
    with Sender(server.url, SECRET) as sender:
        post_all(sender, week(total, 1, datetime(2026, 3, 6, 16, tzinfo=UTC)), Tally(), progress)
    return out.getvalue()


def test_long_runs_say_how_far_they_are(server):
    first, second = paced(server, 1001, io.StringIO()).splitlines()
    assert first.startswith("500 of 1001, ")
    assert second.startswith("1000 of 1001, ")


def test_what_is_quarantined_is_shown_between_the_pace(server):
    server.script = [(200, "quarantined: The body is not JSON.\n", {})]
    [line] = paced(server, 20, io.StringIO()).splitlines()
    assert line.endswith("quarantined: The body is not JSON.")


def test_a_terminal_sees_one_line_rewritten(server):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    rewritten = paced(server, 25, Terminal())
    assert rewritten.startswith("\r1 of 25, ")
    assert "\n" not in rewritten


def test_summary_counts_replies_by_what_they_say(server):
    server.script = [(200, "test\n", {}), (200, "duplicate\nmore\n", {}), (401, "no", {})] * 2
    out, err, error = send(server.url, generate=9)
    summary = out.splitlines()[-1]
    assert summary.endswith(": 3 recorded, 2 test, 2 duplicate, 2 x 401")
    assert len(err.splitlines()) == 2
    assert error is not None
    assert error.returncode == 1
    assert "2 of 9" in str(error)


def test_failures_are_shown_though_many_are_posted_and_all_is_quiet(server):
    server.script = [(503, "The delivery could not be stored.\n", {})]
    out, err, error = send(server.url, generate=30, verbosity=0)
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("503 ")
    assert line.endswith("The delivery could not be stored.")
    assert error is not None


def test_a_redirect_is_a_failure_and_says_where_it_points(server):
    server.script = [(301, "", {"Location": "https://elsewhere.example/"})]
    _, err, error = send(server.url)
    assert len(server.requests) == 1
    assert "301" in err
    assert "(redirects to https://elsewhere.example/)" in err
    assert error is not None


def test_other_successes_than_200_are_failures(server):
    server.script = [(204, "", {})]
    out, _, error = send(server.url)
    assert out.endswith(": 1 x 204\n")
    assert error is not None


def test_a_reply_cannot_steer_the_terminal(server):
    server.script = [(200, "\x1b[31mred\n", {})]
    out, _, _ = send(server.url)
    assert "\x1b" not in out


def test_nobody_listening():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    out, err, error = send(f"http://127.0.0.1:{port}/webhook/", generate=5)
    assert (out, err) == ("", "")
    assert str(error) == f"No answer from http://127.0.0.1:{port}/webhook/: Connection refused"


def test_no_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        _, _, error = send(url, timeout=0.05)
    assert str(error) == f"No answer from {url}: timed out"


def test_secret_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("SUPEROFFICE_WEBHOOK_SECRET", SECRET)
    assert send(server.url, secret=None)[2] is None
    [(_, headers, body)] = server.requests
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    assert headers["X-SuperOffice-Signature"] == base64.b64encode(digest).decode()


@pytest.mark.parametrize("secret", [None, "", " "])
def test_without_a_secret_it_says_what_to_type(secret):
    _, _, error = send("http://127.0.0.1:1/", secret=secret)
    assert "--secret" in str(error)
    assert "SUPEROFFICE_WEBHOOK_SECRET" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "example.com/webhook/",
        "ftp://example.com/",
        "http://",
        "http://[::1/",
        "http://example.com:port/",
        "http://example.com:99999/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com/å",
    ],
)
def test_a_bad_url_is_one_clear_line(url):
    _, _, error = send(url)
    assert error is not None
    assert "is not a webhook's URL" in str(error)


@pytest.mark.parametrize("option", ["body", "ndjson"])
def test_a_bad_file_is_one_clear_line(option, tmp_path, server):
    _, _, error = send(server.url, **{option: str(tmp_path / "missing")})
    assert str(error) == f"{tmp_path / 'missing'} cannot be read: No such file or directory"
    _, _, error = send(server.url, **{option: str(tmp_path)})
    assert str(error) == f"{tmp_path} cannot be read: Is a directory"
    (tmp_path / "empty").write_bytes(b"")
    _, _, error = send(server.url, **{option: str(tmp_path / "empty")})
    assert str(error) == "There is nothing to post: the input is empty."
    assert server.requests == []


@pytest.mark.parametrize("options", [{"generate": 0}, {"timeout": 0.0}, {"timeout": float("nan")}])
def test_impossible_numbers(options):
    assert send("http://127.0.0.1:1/", **options)[2] is not None


def test_interrupted(server, monkeypatch):
    shown = []

    def interrupt(self, sample, reply):
        shown.append(reply)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(
        "superoffice_hooks.management.commands.superoffice_send.Progress.show", interrupt
    )
    out, _, error = send(server.url, generate=9)
    assert out.startswith("3 posted in ")
    assert str(error) == "Stopped."


def test_no_response_is_left_to_be_closed_when_it_is_thrown_away(server):
    # Whatever is raised then, a Ctrl-C too, is swallowed.
    with Sender(server.url, SECRET) as sender:
        exchange, seen = sender._exchange, []

        def note(*args):
            seen.append(exchange(*args))
            return seen[-1]

        sender._exchange = note
        sender.post(next(week(1, 1, datetime.now(UTC))))
    assert [response.closed for response in seen] == [True]


def test_interrupted_while_the_response_is_made(server, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    class Interrupting(socket.socket):
        def makefile(self, *args, **kwargs):
            raise KeyboardInterrupt

    with Sender(server.url, SECRET) as sender:
        sender._connection.sock = Interrupting()
        sender._connection.sock.connect(("127.0.0.1", urlsplit(server.url).port))
        with pytest.raises(KeyboardInterrupt):
            sender.post(next(week(1, 1, datetime.now(UTC))))
    assert unraisable == []
