"""The sample of what was refused: what it keeps, and that it never keeps more."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from threading import Barrier

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from superoffice_hooks.intake import refused
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import breaker
from superoffice_hooks.intake.refused import Turnstile, sample
from superoffice_hooks.models import Delivery, Event
from superoffice_hooks.signals import alarm_raised
from superoffice_hooks.wire.signature import sign
from tests.builders import body, encode, post
from tests.intake.commits import losing_the_answer_to_a_commit

WRONG = "the-secret-that-superoffice-has-0123456789"
MISMATCH = "The signature does not match any secret of this endpoint."
MISSING = "The header X-SuperOffice-Signature is missing."
URL = "/superoffice/webhook/acme/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def bounds(settings):
    """Set the bounds of the sample, at two endpoints."""

    def bounds(**bounds):
        endpoints = {
            name: {"SECRETS": [f"{name}-has-another-secret-0123456789"]}
            for name in ("acme", "globex")
        }
        settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": endpoints, "REFUSED_SAMPLE": bounds}

    bounds()
    return bounds


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it on."""

    class Clock:
        now = 1_000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(refused, "time", clock)
    return clock


@pytest.fixture
def alarms():
    heard = []

    def receiver(alarm, subject, message, **kwargs):
        heard.append((str(alarm), subject, message))

    alarm_raised.connect(receiver)
    yield heard
    alarm_raised.disconnect(receiver)


def refuse(number, url=URL, **options):
    """Post so many deliveries that the endpoint refuses, and return their bodies."""
    raws = [encode(body(PrimaryKey=key)) for key in range(number)]
    for raw in raws:
        assert post(raw, url=url, **({"secret": WRONG} | options)).status_code == 401
    return raws


def kept(endpoint="acme"):
    """The bodies in the sample, the oldest first."""
    rows = Delivery.objects.filter(endpoint=endpoint, outcome="refused").order_by("id")
    return [bytes(row.body) for row in rows]


def arrival(raw=b"{}", signature=None, **columns):
    return Arrival(
        **{
            "endpoint": "acme",
            "received_at": timezone.now(),
            "body": raw,
            "headers": {},
            "remote_address": "192.0.2.1",
            "signature": sign(raw, WRONG) if signature is None else signature,
            "key_id": "",
        }
        | columns
    )


# What is kept.


def test_a_wrongly_signed_delivery_is_kept_whole_and_answered_401(bounds):
    raw = encode(body(name="Blåbær"))
    before = timezone.now()
    response = post(raw, url=URL, secret=WRONG, X_SuperOffice_Retry="2", User_Agent="NetServer")
    assert (response.status_code, response.content) == (401, f"{MISMATCH}\n".encode())
    row = Delivery.objects.get()
    assert (row.outcome, row.reason, row.event, row.key_id) == ("refused", MISMATCH, None, "")
    assert (row.endpoint, bytes(row.body), row.signature) == ("acme", raw, sign(raw, WRONG))
    assert (row.headers["X-Superoffice-Retry"], row.headers["User-Agent"]) == ("2", "NetServer")
    assert before <= row.received_at <= timezone.now()
    assert not Event.objects.exists()


def test_an_unsigned_delivery_is_kept_with_its_own_reason(bounds):
    post(body(), url=URL, signature="")
    row = Delivery.objects.get()
    assert (row.outcome, row.reason, row.signature) == ("refused", MISSING, "")


def test_an_endpoint_whose_secret_is_not_set_keeps_what_it_cannot_verify(settings):
    settings.SUPEROFFICE_HOOKS = {"SECRETS": [""]}
    raw = encode(body())
    assert post(raw, secret=WRONG).status_code == 401
    assert kept("default") == [raw]


def test_an_unknown_endpoint_keeps_nothing(bounds):
    assert post(body(), url="/superoffice/webhook/nobody/", secret=WRONG).status_code == 404
    assert not Delivery.objects.exists()


def test_headers_are_kept_up_to_a_length_and_superoffices_own_first(bounds):
    many = {f"X_Other_{number}": "x" * 1000 for number in range(10)}
    post(body(), url=URL, secret=WRONG, **many, X_SuperOffice_EventId="5d0c7f9e")
    headers = Delivery.objects.get().headers
    assert headers["X-Superoffice-Eventid"] == "5d0c7f9e"
    assert 3_000 < sum(len(name) + len(value) for name, value in headers.items()) <= 4_096


def test_what_superoffice_sends_again_is_kept_once(bounds, monkeypatch):
    raws = refuse(2)
    for turnstile in (refused.turnstile, Turnstile()):  # this process, and another
        monkeypatch.setattr(refused, "turnstile", turnstile)
        for raw in raws:
            post(raw, url=URL, secret=WRONG)
    assert kept() == raws
    post(raws[0], url=URL, secret="a-third-secret-0123456789-abcdefgh")
    post(raws[0], url="/superoffice/webhook/globex/", secret=WRONG)
    assert (kept(), kept("globex")) == ([*raws, raws[0]], [raws[0]])


def test_what_was_kept_a_moment_ago_costs_no_query(bounds, django_assert_num_queries):
    [raw] = refuse(1)
    with django_assert_num_queries(0):
        post(raw, url=URL, secret=WRONG)


def test_what_was_kept_is_known_for_a_while_only(bounds, clock):
    [raw] = refuse(1)
    Delivery.objects.all().delete()
    clock.now += refused.SAME + 1
    post(raw, url=URL, secret=WRONG)
    assert kept() == [raw]


def test_a_genuine_delivery_is_recorded_beside_the_sample(bounds):
    refuse(3)
    secret = "acme-has-another-secret-0123456789"
    assert post(body(), url=URL, secret=secret).content == b"recorded\n"
    assert Delivery.objects.filter(outcome="recorded").count() == 1


# Never more than the bounds.


def test_the_newest_take_the_place_of_the_oldest_one_a_second(bounds, clock):
    bounds(COUNT=10)
    raws = refuse(10)
    assert kept() == raws
    late = refuse(5)
    assert kept() == raws  # all within the second in which the sample was found to be full
    clock.now += refused.REPLACE_EVERY
    later = refuse(5)
    assert kept() == [*raws[1:], later[0]]
    clock.now += refused.REPLACE_EVERY
    latest = refuse(5)
    assert kept() == [*raws[2:], later[0], latest[0]]
    assert not set(late) & set(kept())


def test_in_between_a_refused_post_costs_no_query(bounds, clock):
    bounds(COUNT=10)
    refuse(10)
    refuse(1, signature="")
    with CaptureQueriesContext(connection) as queries:
        refuse(50)
        refuse(50, signature="")
    assert len(queries) == 0


def test_room_that_was_made_is_used_at_once(bounds, clock):
    bounds(COUNT=10)
    refuse(10)
    Delivery.objects.all().delete()
    clock.now += refused.REPLACE_EVERY
    assert refuse(6) == kept()


def test_each_endpoint_has_bounds_of_its_own(bounds):
    bounds(COUNT=10)
    acme = refuse(10)
    globex = refuse(10, url="/superoffice/webhook/globex/")
    refuse(1)
    refuse(1, url="/superoffice/webhook/globex/")
    assert (kept(), kept("globex")) == (acme, globex)


def test_what_can_never_be_verified_has_a_tenth_and_crowds_nobody_out(bounds, clock):
    bounds(COUNT=30)
    for turn, signature in enumerate(["", "nonsense", "æøå", "x" * 43, "", "x"]):
        clock.now += refused.REPLACE_EVERY
        refuse(2, signature=signature)
        assert len(kept()) == min(2 * (turn + 1), 3)
    signed = refuse(27)
    assert len(kept()) == 30
    more = refuse(3)  # those that can be verified take the places of the others
    assert kept() == [*signed, *more]
    clock.now += refused.REPLACE_EVERY
    refuse(1, signature="")
    assert kept() == [*signed, *more]


def test_a_tenth_of_less_than_ten_is_nothing(bounds):
    bounds(COUNT=9)
    with CaptureQueriesContext(connection) as queries:
        refuse(3, signature="")
    assert (kept(), len(queries)) == ([], 0)
    assert refuse(2) == kept()


def test_the_bytes_of_the_bodies_are_bounded_too(bounds, clock):
    bounds(BYTES=10_000)
    raws = [Random(number).randbytes(999) for number in range(20)]  # nothing that could be packed
    for raw in raws:
        clock.now += refused.REPLACE_EVERY
        post(raw, url=URL, secret=WRONG)
    assert kept() == raws[-10:]
    for raw in raws:
        clock.now += refused.REPLACE_EVERY
        post(raw[:700], url=URL, signature="")
    assert kept() == raws[-10:]


def test_the_bytes_of_what_can_never_be_verified_are_a_tenth(bounds, clock):
    bounds(BYTES=10_000)
    raws = [Random(number).randbytes(399) for number in range(5)]
    for raw in raws:
        clock.now += refused.REPLACE_EVERY
        post(raw, url=URL, signature="")
    assert kept() == raws[-2:]


def test_a_body_of_more_than_a_tenth_of_the_bytes_is_not_kept(bounds):
    bounds(BYTES=10_000)
    post(b"x" * 1_000, url=URL, secret=WRONG)
    assert kept() == []
    post(b"x" * 999, url=URL, secret=WRONG)
    assert kept() == [b"x" * 999]


def test_what_is_too_old_goes(bounds):
    bounds(DAYS=3)
    old, young = refuse(2)
    for raw, days in ((old, 3.01), (young, 2.99)):
        moment = timezone.now() - timedelta(days=days)
        Delivery.objects.filter(body=raw).update(received_at=moment)
    [new] = refuse(1)
    assert kept() == [young, new]


@pytest.mark.parametrize("bound", ["COUNT", "BYTES", "DAYS"])
def test_none_switches_the_sample_off(bounds, bound):
    bounds(**{bound: 0})
    with CaptureQueriesContext(connection) as queries:
        refuse(3)
        post(b"x", url=URL, secret=WRONG)
    assert (kept(), len(queries)) == ([], 0)


def test_a_sample_that_others_have_emptied_is_no_failure(bounds, monkeypatch, caplog):
    keep = refused.keep

    def keep_and_lose(*args, **options):
        delivery = keep(*args, **options)
        Delivery.objects.all().delete()
        return delivery

    monkeypatch.setattr(refused, "keep", keep_and_lose)
    refuse(1)
    assert "could not be kept" not in caplog.text


def test_a_lowered_bound_is_kept_step_by_step(bounds, monkeypatch):
    refuse(8)
    bounds(COUNT=2)
    monkeypatch.setattr(refused, "MAX_DELETED", 4)
    for left in (5, 2):
        monkeypatch.setattr(refused, "turnstile", Turnstile())
        raws = refuse(1)
        assert len(kept()) == left
        assert kept()[-1] == raws[0]


def test_only_refused_deliveries_of_the_endpoint_are_ever_deleted(bounds, clock):
    bounds(COUNT=3)
    others = [
        Delivery(endpoint=endpoint, outcome=outcome, received_at=moment, body=b"x" * 100)
        for endpoint in ("acme", "globex")
        for outcome in ("recorded", "duplicate", "test", "quarantined", "refused")
        for moment in (timezone.now(), timezone.now() - timedelta(days=400))
        if (endpoint, outcome) != ("acme", "refused")
    ]
    Delivery.objects.bulk_create(others)
    refuse(3)
    for _ in range(3):
        clock.now += refused.REPLACE_EVERY
        refuse(2)
    assert len(kept()) == 3
    assert Delivery.objects.count() == 3 + len(others)


@pytest.mark.django_db(transaction=True)
def test_any_number_at_once_leave_no_more_than_the_bounds(bounds, monkeypatch):
    bounds(COUNT=20)
    workers, number = 6, 15
    barrier = Barrier(workers)
    # Each keeps whatever it is given, as if it were a process of its own that knows of no other.
    monkeypatch.setattr(Turnstile, "lets", lambda self, kind: True)
    monkeypatch.setattr(refused, "MAX_REMEMBERED", 5)

    def flood(worker):
        try:
            barrier.wait(timeout=60)
            for key in range(number):
                signature = "" if key % 3 == 0 else None
                wire = encode(body(PrimaryKey=key, ChangedByAssociateId=worker))
                post(wire, url=URL, secret=WRONG, signature=signature)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(flood, range(workers)))
    rows = Delivery.objects.filter(outcome="refused", endpoint="acme")
    assert rows.count() == 20
    assert rows.filter(signature="").count() == 0  # sixty that could be verified have come


# The alarm.


def test_the_alarm_says_how_many_in_a_row(bounds, alarms, monkeypatch):
    monkeypatch.setattr("superoffice_hooks.alarms.QUIET", 0.0)
    refuse(2)
    [first, second] = alarms
    assert first[:2] == ("refused", "acme")
    assert first[2].startswith("Refused at endpoint 'acme': 1 in a row, each up to 3 of the 9")
    assert "superoffice_verify" in first[2]
    assert "so up to 6 of 9" in second[2]
    # What was accepted in between begins a new row, and another endpoint has its own.
    assert post(body(), url=URL, secret="acme-has-another-secret-0123456789").status_code == 200
    refuse(1)
    refuse(1, url="/superoffice/webhook/globex/", signature="")
    assert "so up to 3 of 9" in alarms[2][2]
    assert alarms[3][1] == "globex"
    assert "(The header X-SuperOffice-Signature is missing)" in alarms[3][2]
    refuse(11)
    assert "9 in a row" in alarms[-1][2]


def test_what_is_longer_ago_than_an_hour_is_not_in_a_row(bounds, alarms, monkeypatch):
    monkeypatch.setattr("superoffice_hooks.alarms.QUIET", 0.0)
    refuse(2)
    Delivery.objects.update(received_at=timezone.now() - timedelta(hours=2))
    refuse(1)
    assert "so up to 3 of 9" in alarms[-1][2]


def test_what_is_not_kept_sounds_no_alarm(bounds, alarms, monkeypatch):
    monkeypatch.setattr("superoffice_hooks.alarms.QUIET", 0.0)
    raws = refuse(1)
    monkeypatch.setattr(refused, "turnstile", Turnstile())
    post(raws[0], url=URL, secret=WRONG)
    assert len(alarms) == 1


# Whatever happens to the sample, the answer is the same.


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["INSERT", "SELECT"])
def test_a_failure_costs_a_log_line_without_values_and_a_rest(
    bounds, clock, caplog, settings, statement
):
    failing = []

    def execute(run, sql, params, many, context):
        if sql.startswith(statement) and "superoffice_hooks_delivery" in sql:
            failing.append(sql)
            raise OperationalError("disk full: Fjordbygg AS")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        response = post(body(), url=URL, secret=WRONG)
        tried = len(failing)
        refuse(3)
    assert (response.status_code, response.content) == (401, f"{MISMATCH}\n".encode())
    assert len(failing) == tried  # the next ones leave the database alone
    assert "endpoint 'acme' could not be kept: OperationalError" in caplog.text
    assert "Fjordbygg" not in caplog.text
    assert kept() == []
    clock.now += refused.REST
    assert refuse(2) == kept()


def test_nonsense_in_the_settings_is_no_other_answer(bounds, caplog):
    bounds(COUNT="many")
    refuse(1)
    assert "could not be kept: ImproperlyConfigured" in caplog.text


def test_while_the_breaker_is_open_nothing_is_asked_of_the_database(
    bounds, django_assert_num_queries
):
    breaker.trip()
    with django_assert_num_queries(0):
        refuse(2)
    breaker.reset()
    assert refuse(1) == kept()


@pytest.mark.django_db(transaction=True)
def test_a_commit_whose_answer_is_lost_is_one_row(bounds):
    with losing_the_answer_to_a_commit():
        raws = refuse(1)
    assert kept() == raws


def test_the_memory_of_a_process_is_bounded(bounds, monkeypatch):
    monkeypatch.setattr(refused, "MAX_REMEMBERED", 4)
    turnstile = refused.turnstile
    for number in range(20):
        turnstile.close((f"endpoint {number}", True), {True, False})
        turnstile.remember(arrival(encode(number)))
        assert len(turnstile._closed_until) <= 6
        assert len(turnstile._known_until) <= 4


@pytest.mark.django_db(transaction=True)
def test_a_signature_that_no_column_takes_is_no_failure(bounds):
    sample(arrival(signature="\ud800"), MISMATCH)
    assert kept() in ([], [b"{}"])


def test_the_sample_goes_on_once_the_database_had_its_rest(monkeypatch):
    breaker.trip()
    monkeypatch.setattr(breaker, "_until", 0.0)
    assert post(body(), secret=WRONG).status_code == 401
    assert Delivery.objects.filter(outcome="refused").count() == 1
    assert not breaker.is_open


def test_two_kinds_of_posts_do_not_open_the_sample_for_each_other():
    turnstile = Turnstile()
    signed, unsigned = ("acme", True), ("acme", False)
    turnstile.close(signed, {True})
    turnstile.close(unsigned, set())
    assert not turnstile.lets(signed)
    assert turnstile.lets(unsigned)
