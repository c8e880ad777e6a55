"""A secret and a person's name that must not turn up: not in logs, answers, reports or pages.

Something is broken at each step of a delivery, one after another; whatever is then written by any
logger, answered, mailed to the admins or shown is searched for them.
"""

import contextlib
import errno
import json
import logging
import sys
from contextlib import ExitStack
from unittest import mock

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection
from django.test import Client
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from superoffice_hooks.intake.drain import drain
from superoffice_hooks.intake.reprocess import reprocess
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import event_recorded
from superoffice_hooks.wire.signature import sign
from tests.builders import body, encode, inserts, post

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "canary-secret-4c21-6f1c0d5e9b7a"
ACME = "canary-secret-acme-88b0d5e9b7a4"
PERSON = "Kari Nordmannsen"
HEADER = "canary-header@example.com"

WIRE = body(
    FieldValues={"name": PERSON, "person_id": 88},
    Values={"note": PERSON, PERSON: 1},
    Changes=["name", PERSON],
    WebhookName=PERSON,
    Remark=PERSON,
)
READABLE = encode(WIRE)
UNREADABLE = {
    "not JSON": READABLE + b"!",
    "cut off": READABLE[: READABLE.index(b"Nordmannsen")],
    "a control character": READABLE.replace(b"Kari N", b"Kari\x01N"),
    "not UTF-8": READABLE.replace(b"Kari N", b"Kari\xffN"),
    "a name for a key": encode(WIRE | {"PrimaryKey": PERSON}),
    "a name for a moment": encode(WIRE | {"Timestamp": PERSON}),
    "a name for an EventId": encode(WIRE | {"EventId": PERSON}),
    "a name for a list": encode(WIRE | {"Changes": PERSON}),
    "a name for a tenant": encode(WIRE | {"ContextIdentifier": [PERSON]}),
}
CANARIES = (SECRET, ACME, PERSON, sign(READABLE, SECRET))


def found(text, canaries=CANARIES):
    """Where the canaries stand in this text."""
    text = text.casefold()
    places = [(canary, text.find(canary.casefold())) for canary in canaries]
    return [(canary, text[max(0, at - 200) : at + 60]) for canary, at in places if at >= 0]


class Reports(AdminEmailHandler):
    """Django's mails to the admins, as they would be sent."""

    def __init__(self):
        super().__init__(include_html=True)
        self.sent = []

    def emit(self, record):
        # Django's templates log, at DEBUG, what they look for in vain; here the mail is at stake.
        with mock.patch.object(logging.getLogger("django.template"), "disabled", True):
            super().emit(record)

    def send_mail(self, subject, message, *args, html_message=None, **kwargs):
        self.sent.append(f"{subject}\n{message}\n{html_message}")


class Lines(logging.Handler):
    """Every record of every logger, with all that a formatter could print of it."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        if record.name == "django.db.backends":  # with DEBUG on it shows every statement: its job
            return
        known = {name: value for name, value in vars(record).items() if name != "request"}
        self.lines.append(f"{self.format(record)}\n{known}")


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.SUPEROFFICE_HOOKS = {
        "SECRETS": [SECRET],
        "ENDPOINTS": {"acme": {"SECRETS": [ACME], "CONTEXTS": ["Acme"]}},
    }


@pytest.fixture
def said():
    """What the loggers and the mails say, from DEBUG on."""
    reports, lines = Reports(), Lines()
    reports.setLevel(logging.ERROR)  # as in Django's own LOGGING
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in root.manager.loggerDict)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    for handler in (reports, lines):
        root.addHandler(handler)
    yield lambda: "\n".join([*lines.lines, *reports.sent])
    for handler in (reports, lines):
        root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def patched(target, error=RuntimeError):
    return lambda: mock.patch(target, side_effect=error("broken on purpose"))


def failing(error):
    """Let every INSERT of ours fail like this."""

    def execute(run, sql, params, many, context):
        if inserts(sql, "superoffice_hooks_"):
            raise error
        return run(sql, params, many, context)

    return lambda: connection.execute_wrapper(execute)


def commits(error):
    return lambda: mock.patch.object(connection, "_commit", side_effect=error)


def alone(fault):
    """Break the way by the ORM."""

    @contextlib.contextmanager
    def broken():
        with mock.patch(f"{INTAKE}.rows.is_possible", return_value=False), fault():
            yield

    return broken


INTAKE = "superoffice_hooks.intake"
WORDS = f"could not take it\nDETAIL: Failing row contains ({PERSON})."
FAULTS = {
    "the body is read": patched(f"{INTAKE}.view._stream"),
    "the headers are read": patched(f"{INTAKE}.ingest._header_text"),
    "the signature is compared": patched("superoffice_hooks.wire.signature.hmac.compare_digest"),
    "the key is named": patched(f"{INTAKE}.ingest.key_id"),
    "the bytes are decoded": patched("superoffice_hooks.wire.body._decode"),
    "the levels are counted": patched("superoffice_hooks.wire.body._refuse_deep_nesting"),
    "the moment is read": patched("superoffice_hooks.wire.payload._moment"),
    "the payload is made": patched("superoffice_hooks.wire.payload.Payload"),
    "it is settled": patched(f"{INTAKE}.settle.record"),
    "the rows are made": alone(patched(f"{INTAKE}.rows.Event")),
    "the related are looked for": alone(patched(f"{INTAKE}.rows.related_records_of")),
    "the delivery is written": alone(patched(f"{INTAKE}.rows.Row.write")),
    "the rows are inserted": failing(RuntimeError("broken on purpose")),
    "the database is full": failing(OperationalError(WORDS)),
    "the database refuses the values": failing(DataError(WORDS)),
    "the database has them already": failing(IntegrityError(WORDS)),
    "the database quotes a value": failing(
        OperationalError(1366, f"Incorrect string value: '{PERSON}' for column 'name' at row 1")
    ),
    "the database fails": failing(DatabaseError(WORDS)),
    "the commit fails": alone(commits(OperationalError(WORDS))),
    "the commit breaks": alone(commits(RuntimeError("broken on purpose"))),
    "the receivers are told": patched(f"{INTAKE}.settle.event_recorded.send_robust"),
}


@pytest.mark.parametrize("spooling", [False, True], ids=["without a spool", "with a spool"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_breaks_while_a_delivery_is_taken_says_neither(fault, spooling, said, request):
    if spooling:
        request.getfixturevalue("spool")
    with fault():
        answer = post(READABLE, secret=SECRET)
    assert answer.status_code in (200, 503)
    assert "broken on purpose" in said() or "could not" in said()
    assert found(answer.content.decode()) == []
    assert found(said()) == []


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB is written by the ORM alone")
def test_what_breaks_among_others_is_stored_alone_and_says_neither(said):
    with patched(f"{INTAKE}.group_commit.insert")():
        answer = post(READABLE, secret=SECRET)
    assert answer.content == b"recorded\n"
    assert "broken on purpose" in said()
    assert found(said()) == []


@pytest.mark.parametrize("fault", ["os.fsync", "os.rename", "_encode", "_sync_folder"])
def test_what_breaks_in_the_spool_says_neither(fault, said, spool):
    error = RuntimeError if fault == "_encode" else OSError
    broken = mock.patch(
        f"{INTAKE}.spool.{fault}", side_effect=error(errno.EIO, "broken on purpose")
    )
    with failing(OperationalError(WORDS))(), broken:
        answer = post(READABLE, secret=SECRET)
    assert answer.status_code == 503
    assert "broken on purpose" in said()
    assert found(answer.content.decode()) == []
    assert found(said()) == []


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_what_breaks_while_the_spool_is_drained_says_neither(error, said, spool):
    with failing(OperationalError(WORDS))():
        assert post(READABLE, secret=SECRET).content == b"spooled\n"
    together, alone = (
        patched(f"{INTAKE}.drain.{name}", error) for name in ("settle_together", "settle")
    )
    with together(), alone():
        try:
            drain(spool)
        except OSError:
            assert found(report()) == []
    [path] = spool.waiting()
    path.write_bytes(path.read_bytes()[:-100])
    drain(spool)
    assert "could not be drained" in said()
    assert found(said()) == []


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_unusable_is_explained_without_its_values(raw, said):
    answer = post(raw, secret=SECRET)
    assert answer.status_code == 200
    assert found(answer.content.decode()) == []
    assert found(said()) == []
    assert found(Delivery.objects.get().reason) == []


@pytest.mark.parametrize(
    ("url", "signature", "status"),
    [
        ("/superoffice/webhook/", "forged", 401),
        ("/superoffice/webhook/", "", 401),
        ("/superoffice/webhook/", SECRET, 401),
        ("/superoffice/webhook/acme/", None, 401),
        ("/superoffice/webhook/nobody/", None, 404),
        ("/superoffice/webhook/nobody/x/", None, 404),
    ],
)
@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_what_is_turned_away_is_told_neither(url, signature, status, debug, said, settings):
    settings.DEBUG = debug
    answer = post(READABLE, url=url, secret=SECRET, signature=signature, X_Contact=HEADER)
    assert answer.status_code == status
    assert found(answer.content.decode()) == []
    if signature != SECRET or not debug:  # whoever sends the secret in the open is shown it
        assert found(said(), (*CANARIES, HEADER)) == []


SETTINGS = {
    "a secret for a list": {"SECRETS": SECRET},
    "a secret within a list": {"SECRETS": [[SECRET]]},
    "a secret for a list of an endpoint": {"ENDPOINTS": {"default": {"SECRETS": SECRET}}},
    "two defaults": {"SECRETS": [SECRET], "ENDPOINTS": {"default": {"SECRETS": [SECRET]}}},
    "a path that does not import": {"SECRETS": [SECRET], "ENDPOINTS": "no.such.path"},
    "a limit in words": {"SECRETS": [SECRET], "MAX_BODY_BYTES": "10 MiB"},
    "a folder in words": {"SECRETS": [SECRET], "SPOOL_DIR": "here"},
}


@pytest.mark.parametrize("hooks", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_are_nonsense_are_reported_without_the_secret(hooks, said, settings):
    settings.SUPEROFFICE_HOOKS = hooks
    answer = post(READABLE, secret=SECRET)
    assert answer.status_code == 503
    assert found(answer.content.decode()) == []
    assert found(said()) == []


def test_a_receiver_that_breaks_is_reported_without_the_values(said):
    def broken(event, delivery, **kwargs):
        raise RuntimeError("broken on purpose")

    event_recorded.connect(broken)
    try:
        assert post(READABLE, secret=SECRET).status_code == 200
    finally:
        event_recorded.disconnect(broken)
    assert "broken on purpose" in said()
    assert found(said()) == []


def report():
    """What Django would mail of the exception that is being handled, without our own frames."""
    kind, error, frames = sys.exc_info()
    while frames.tb_next and frames.tb_frame.f_globals["__name__"] == __name__:
        frames = frames.tb_next
    reporter = ExceptionReporter(None, kind, error, frames, is_email=True)
    return reporter.get_traceback_html() + reporter.get_traceback_text()


def test_what_breaks_while_it_is_processed_again_is_reported_without_the_values(said):
    post(READABLE + b"!", secret=SECRET)
    with patched(f"{INTAKE}.reprocess.settle")():
        try:
            reprocess(Delivery.objects.get(), by="olga")
        except RuntimeError:
            text = report()
    assert "broken on purpose" in text
    assert found(text) == []
    assert found(said()) == []


PAGES = (
    "/admin/",
    "/admin/superoffice_hooks/event/",
    "/admin/superoffice_hooks/event/{event}/change/",
    "/admin/superoffice_hooks/event/{event}/history/",
    "/admin/superoffice_hooks/event/record/?context_identifier={context}&entity=contact&primary_key=4711",
    "/admin/superoffice_hooks/delivery/",
    "/admin/superoffice_hooks/delivery/{delivery}/change/",
    "/admin/superoffice_hooks/delivery/{quarantined}/change/",
    "/admin/superoffice_hooks/delivery/{refused}/change/",
    "/superoffice/api/events/",
    "/superoffice/api/events/{event}/",
    "/superoffice/api/events/follow/",
    "/superoffice/api/events/choices/",
    "/superoffice/api/events/manifest/",
    "/superoffice/api/events/export.ndjson",
    "/superoffice/api/events/export.csv",
    "/superoffice/api/records/{context}/contact/4711/",
    "/superoffice/api/summary/",
    "/superoffice/api/deliveries/",
    "/superoffice/api/deliveries/{delivery}/",
    "/superoffice/api/deliveries/{quarantined}/",
    "/superoffice/api/deliveries/{refused}/",
    "/superoffice/api/deliveries/export.ndjson",
    "/superoffice/api/schema/",
)
CHANGES = tuple(page for page in PAGES if page.endswith("/change/"))


@pytest.fixture
def stored():
    """One delivery of each outcome that holds the name; gives what the URLs need."""
    post(READABLE, secret=SECRET, X_Contact=HEADER)
    post(UNREADABLE["not JSON"], secret=SECRET, X_Contact=HEADER)
    post(READABLE, signature=sign(READABLE, "another-secret"), X_Contact=HEADER)
    deliveries = {each.outcome: each.pk for each in Delivery.objects.all()}
    return {
        "event": Event.objects.get().pk,
        "delivery": deliveries["recorded"],
        "quarantined": deliveries["quarantined"],
        "refused": deliveries["refused"],
        "context": WIRE["ContextIdentifier"],
    }


def pages(client, stored, which=PAGES):
    """Each page's status and text."""
    client.raise_request_exception = False
    for page in which:
        answer = client.get(page.format(**stored))
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        yield page, answer.status_code, content.decode()


def user(django_user_model, *codenames, **fields):
    made = django_user_model.objects.create_user("olga", is_staff=True, **fields)
    made.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(made)
    return client


@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_no_page_and_no_answer_holds_the_secret(stored, django_user_model, debug, settings):
    settings.DEBUG = debug
    client = user(django_user_model, is_superuser=True)
    shown = 0
    for page, status, text in pages(client, stored):
        assert status == 200, page
        assert found(text, (SECRET, ACME)) == [], page
        shown += PERSON in text
    assert shown > 5  # those who may see it do


@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_no_page_for_those_who_may_not_see_it_holds_the_name(
    stored, django_user_model, debug, settings
):
    settings.DEBUG = debug
    clients = [Client(), user(django_user_model)]
    for client in clients:
        for page, _status, text in pages(client, stored):
            assert found(text, (*CANARIES, HEADER)) == [], page


@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_no_page_outside_the_scope_holds_the_name(stored, django_user_model, debug, settings):
    settings.SUPEROFFICE_HOOKS = settings.SUPEROFFICE_HOOKS | {
        "CONTEXTS_FOR_USER": lambda user: ["Acme"]
    }
    settings.DEBUG = debug
    client = user(django_user_model, "view_event", "view_delivery", "reprocess_delivery")
    for page, status, text in pages(client, stored):
        assert status in (200, 404), page
        assert found(text, (*CANARIES, HEADER)) == [], page


@pytest.mark.parametrize("debug", [False, True], ids=["", "DEBUG"])
def test_no_page_of_an_error_holds_the_secret(stored, django_user_model, debug, settings):
    settings.DEBUG = debug
    client = user(django_user_model, is_superuser=True)
    with ExitStack() as broken:
        for query in ("event", "delivery"):
            broken.enter_context(
                mock.patch(
                    f"superoffice_hooks.models.{query}.{query.title()}.__str__",
                    side_effect=RuntimeError("broken on purpose"),
                )
            )
        statuses = set()
        for page, status, text in pages(client, stored, CHANGES):
            assert found(text, (SECRET, ACME)) == [], page
            assert debug or status != 500 or found(text) == [], page
            statuses.add(status)
    assert 500 in statuses


def test_the_button_that_breaks_says_neither(stored, said, django_user_model):
    client = user(django_user_model, is_superuser=True)
    client.raise_request_exception = False
    url = f"/admin/superoffice_hooks/delivery/{stored['quarantined']}/process-again/"
    with patched(f"{INTAKE}.reprocess.settle")():
        answer = client.post(url)
    assert answer.status_code in (302, 500)
    assert found(answer.content.decode()) == []
    assert found(said()) == []


def test_the_search_itself_finds_what_is_there(said):
    logging.getLogger("somebody.elses").debug("A delivery came: %s", json.dumps(WIRE))
    assert PERSON in [canary for canary, _place in found(said())]
