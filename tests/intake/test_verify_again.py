"""Refused deliveries, verified again by today's secrets; and what would become of any."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import OperationalError, connection, connections, transaction

from superoffice_hooks.alarms import Alarm
from superoffice_hooks.exceptions import SignatureError
from superoffice_hooks.intake import reprocess as module
from superoffice_hooks.intake.reprocess import (
    Foreseen,
    ReprocessError,
    foresee,
    reprocess,
    verify_again,
)
from superoffice_hooks.models import ChangedField, Delivery, Event
from superoffice_hooks.signals import alarm_raised, event_recorded
from superoffice_hooks.wire.signature import key_id
from tests.builders import body, encode, post
from tests.intake.commits import losing_the_answer_to_a_commit

OURS = "what-the-settings-said-0123456789-abcdef"
THEIRS = "what-superoffice-had-0123456789-abcdefgh"
URL = "/superoffice/webhook/acme/"
MISMATCH = "The signature does not match any secret of this endpoint."
HEADING = r"Verified again at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by olga; before: "
ARRIVED = datetime.now(UTC) - timedelta(days=1)  # the sample would lose what is older than 30

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    """Choose which secrets the endpoint of Acme has, and which tenants it takes."""

    def secrets(*secrets, contexts=("Cust24680",)):
        options = {"SECRETS": list(secrets), "CONTEXTS": list(contexts)}
        settings.SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": options}}

    secrets(OURS)
    return secrets


@pytest.fixture
def signals():
    sent = []

    def receiver(event, delivery, **kwargs):
        sent.append((event.pk, delivery.pk, transaction.get_connection().in_atomic_block))

    event_recorded.connect(receiver)
    yield sent
    event_recorded.disconnect(receiver)


def refused(raw, **headers):
    """Post a body that SuperOffice signs by another secret; it arrived some time ago."""
    assert post(raw, url=URL, secret=THEIRS, **headers).status_code == 401
    delivery = Delivery.objects.latest("id")
    Delivery.objects.filter(pk=delivery.pk).update(received_at=ARRIVED)
    return delivery


def stored(delivery):
    return Delivery.objects.get(pk=delivery.pk)


def unchanged(delivery):
    row = stored(delivery)
    return (row.outcome, row.reason, row.event, row.key_id) == ("refused", MISMATCH, None, "")


@pytest.mark.django_db(transaction=True)
def test_with_the_right_secret_the_event_is_recorded_as_of_its_arrival(secrets, signals):
    wire = body()
    delivery = refused(wire, X_SuperOffice_Retry="1")
    secrets(THEIRS)
    returned = verify_again(delivery, "olga")
    row, event = Delivery.objects.get(), Event.objects.get()
    assert (row.pk, row.outcome, row.event) == (delivery.pk, "recorded", event)
    assert re.fullmatch(HEADING + re.escape(MISMATCH), row.reason)
    assert (row.received_at, event.received_at) == (ARRIVED, ARRIVED)
    assert row.key_id == returned.key_id == key_id(THEIRS)
    assert bytes(row.body) == bytes(returned.body) == encode(wire)
    assert row.headers["X-Superoffice-Retry"] == "1"
    assert [field.name for field in ChangedField.objects.all()] == wire["Changes"]
    assert signals == [(event.pk, row.pk, False)]
    assert post(wire, url=URL, secret=THEIRS).content == b"duplicate\n"


def test_either_secret_of_a_rotation_will_do(secrets):
    delivery = refused(body())
    secrets(OURS, THEIRS)
    assert verify_again(delivery, "olga").key_id == key_id(THEIRS)


def test_without_the_right_secret_it_stays_refused_and_says_so(signals):
    delivery = refused(body())
    with pytest.raises(SignatureError, match="does not match"):
        verify_again(delivery, "olga")
    assert unchanged(delivery)
    assert (signals, Event.objects.count()) == ([], 0)


def test_what_carried_no_signature_can_never_be_verified(secrets):
    post(body(), url=URL, signature="")
    secrets(THEIRS)
    with pytest.raises(SignatureError, match="missing"):
        verify_again(Delivery.objects.get(), "olga")


def test_a_body_that_was_altered_in_the_database_is_not_taken(secrets):
    delivery = refused(body())
    Delivery.objects.update(body=encode(body()))
    secrets(THEIRS)
    with pytest.raises(SignatureError):
        verify_again(delivery, "olga")
    assert not Event.objects.exists()


def test_what_came_again_meanwhile_is_a_duplicate(secrets, signals):
    wire = body()
    delivery = refused(wire)
    secrets(THEIRS)
    post(wire, url=URL, secret=THEIRS)
    verify_again(delivery, "olga")
    row = stored(delivery)
    assert (row.outcome, row.event) == ("duplicate", Event.objects.get())
    assert re.match(HEADING, row.reason)
    assert len(signals) == 1


def test_a_test_event_is_a_test(secrets):
    delivery = refused(body(Event="test"))
    secrets(THEIRS)
    verify_again(delivery, "olga")
    assert (stored(delivery).outcome, Event.objects.count()) == ("test", 0)


def test_a_body_without_event_id_takes_the_header_that_came_with_it(secrets):
    event_id = "5d0c7f9e-51d4-4a56-9a5e-0d1b9c6d7f10"
    delivery = refused(body(EventId=...), X_SuperOffice_EventId=event_id)
    secrets(THEIRS)
    verify_again(delivery, "olga")
    assert str(Event.objects.get().event_id) == event_id


def test_what_is_genuine_and_unusable_is_quarantined_with_both_reasons(secrets):
    heard = []

    def receiver(alarm, **kwargs):
        heard.append(alarm)

    delivery = refused(body())
    secrets(THEIRS, contexts=["Another"])
    alarm_raised.connect(receiver)
    try:
        verify_again(delivery, "olga")
    finally:
        alarm_raised.disconnect(receiver)
    row = stored(delivery)
    assert (row.outcome, row.key_id, heard) == (
        "quarantined",
        key_id(THEIRS),
        [Alarm.QUARANTINED],
    )
    reason = "ContextIdentifier is missing, or names a tenant that this endpoint does not take."
    mark = rf" \({HEADING}{re.escape(MISMATCH)}\)"
    assert re.fullmatch(re.escape(reason) + mark, row.reason)
    # The mark stays however often it is processed again, and when it is recorded.
    reprocess(delivery, "kari")
    assert stored(delivery).reason == row.reason
    secrets(THEIRS)
    assert reprocess(delivery, "kari").outcome == "recorded"
    assert stored(delivery).reason.endswith(row.reason)


@pytest.mark.parametrize("outcome", ["recorded", "duplicate", "test", "quarantined"])
def test_what_is_not_refused_is_left_as_it_is(secrets, outcome):
    delivery = refused(body())
    secrets(THEIRS)
    Delivery.objects.update(outcome=outcome)
    assert verify_again(delivery, "olga").outcome == outcome
    assert (stored(delivery).reason, Event.objects.count()) == (MISMATCH, 0)


def test_what_is_refused_is_not_processed_without_being_verified():
    delivery = refused(body())
    assert reprocess(delivery, "olga").outcome == "refused"
    assert unchanged(delivery)


@pytest.mark.parametrize("hooks", [{}, {"ENDPOINTS": {"acme": {"SECRETS": [""]}}}])
def test_an_endpoint_that_is_gone_is_an_error(settings, hooks):
    delivery = refused(body())
    settings.SUPEROFFICE_HOOKS = hooks
    with pytest.raises(ReprocessError, match="any more"):
        verify_again(delivery, "olga")
    assert unchanged(delivery)


@pytest.mark.parametrize("again", [verify_again, reprocess])
def test_a_delivery_that_is_gone_is_an_error(again):
    delivery = refused(body())
    Delivery.objects.all().delete()
    with pytest.raises(ReprocessError, match="not kept any more"):
        again(delivery, "olga")
    with pytest.raises(ReprocessError, match="not kept any more"):
        foresee(delivery)


# At the same moment.


def meanwhile(monkeypatch, happens):
    """Let something happen after the signature was verified, and before anything is written."""
    settle = module.settle

    def overtaken(arrival, endpoint, row):
        monkeypatch.setattr(module, "settle", settle)
        happens()
        return settle(arrival, endpoint, row)

    monkeypatch.setattr(module, "settle", overtaken)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
def test_what_the_sample_loses_in_that_moment_is_stored_all_the_same(
    secrets, signals, monkeypatch, lost
):
    wire = body()
    delivery = refused(wire, X_SuperOffice_Retry="1")
    secrets(THEIRS)
    commit = connection._commit

    def commit_and_lose_the_answer():
        commit()
        connection._commit = commit
        raise OperationalError(2013, "Lost connection during query")

    def trimmed():
        Delivery.objects.all().delete()
        if lost:
            connection._commit = commit_and_lose_the_answer

    meanwhile(monkeypatch, trimmed)
    try:
        returned = verify_again(delivery, "olga")
    finally:
        connection._commit = commit
    row, event = Delivery.objects.get(), Event.objects.get()
    assert (row.pk, row.outcome, row.event) == (returned.pk, "recorded", event)
    assert (row.received_at, event.received_at) == (ARRIVED, ARRIVED)
    assert re.fullmatch(HEADING + re.escape(MISMATCH), row.reason)
    assert (bytes(row.body), row.key_id) == (encode(wire), key_id(THEIRS))
    assert len(signals) == 1


def test_what_somebody_else_settles_in_that_moment_is_left_to_them(secrets, signals, monkeypatch):
    delivery = refused(body())
    secrets(THEIRS)
    meanwhile(monkeypatch, lambda: verify_again(delivery, "kari"))
    assert "by kari" in verify_again(delivery, "olga").reason
    assert len(signals) == Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_commit_whose_answer_is_lost_is_quarantined_once(secrets):
    delivery = refused(b"not JSON")
    secrets(THEIRS)
    with losing_the_answer_to_a_commit():
        returned = verify_again(delivery, "olga")
    row = Delivery.objects.get()
    assert row.outcome == returned.outcome == "quarantined"
    assert row.reason == returned.reason
    assert row.reason.count("Verified again") == 1


@pytest.mark.django_db(transaction=True)
def test_two_at_once_give_one_event(secrets, signals):
    number, workers = 8, 6
    deliveries = [refused(body(PrimaryKey=key)) for key in range(number)]
    secrets(THEIRS)
    barrier = Barrier(workers)

    def work(worker):
        try:
            outcomes = []
            for delivery in deliveries:
                barrier.wait(timeout=60)
                outcomes.append(verify_again(delivery, f"user {worker}").outcome)
            return outcomes
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        returned = [one for outcomes in pool.map(work, range(workers)) for one in outcomes]
    assert set(returned) == {"recorded"}
    assert Delivery.objects.count() == Event.objects.count() == len(signals) == number
    assert all(row.reason.count("Verified") == 1 for row in Delivery.objects.all())


# What would become of it.


@pytest.mark.django_db(transaction=True)
def test_what_is_foreseen_comes_true_and_changes_nothing(secrets, signals):
    known = body()
    wires = {
        "recorded": body(),
        "duplicate": known,
        "test": body(Event="test"),
        "quarantined": b"not JSON",
        "conflict": known | {"Changes": ["name"]},
    }
    deliveries = {name: refused(wire) for name, wire in wires.items()}
    secrets(THEIRS)
    assert post(known, url=URL, secret=THEIRS).content == b"recorded\n"
    before = list(Delivery.objects.order_by("id").values()), list(Event.objects.values())
    foreseen = {name: foresee(delivery) for name, delivery in deliveries.items()}
    assert (list(Delivery.objects.order_by("id").values()), list(Event.objects.values())) == before
    assert len(signals) == 1
    assert {name: str(one.outcome) for name, one in foreseen.items()} == {
        "recorded": "recorded",
        "duplicate": "duplicate",
        "test": "test",
        "quarantined": "quarantined",
        "conflict": "quarantined",
    }
    assert foreseen["quarantined"].reason.startswith("The body is not JSON")
    assert foreseen["conflict"].reason.endswith("came before in other bytes.")
    for name, delivery in deliveries.items():
        assert verify_again(delivery, "olga").outcome == foreseen[name].outcome


def test_a_quarantined_delivery_is_foreseen_too(secrets):
    secrets(THEIRS, contexts=["Another"])
    post(body(), url=URL, secret=THEIRS)
    delivery = Delivery.objects.get()
    assert foresee(delivery) == Foreseen("quarantined", delivery.reason)
    secrets(THEIRS)
    assert foresee(delivery) == Foreseen("recorded", "")
    reprocess(delivery, "olga")
    assert foresee(delivery) == Foreseen("recorded", stored(delivery).reason)


def test_what_cannot_be_verified_is_foreseen_as_that_error():
    with pytest.raises(SignatureError):
        foresee(refused(body()))


def test_what_somebody_else_settles_meanwhile_is_foreseen_as_they_did(secrets, monkeypatch):
    delivery = refused(body())
    secrets(THEIRS)
    meanwhile(monkeypatch, lambda: verify_again(delivery, "kari"))
    assert foresee(delivery).outcome == "recorded"
