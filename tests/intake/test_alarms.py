"""What of a delivery sounds an alarm."""

import pytest

from superoffice_hooks import alarms
from superoffice_hooks.alarms import Alarm
from superoffice_hooks.intake.reprocess import reprocess
from superoffice_hooks.models import Delivery
from superoffice_hooks.signals import alarm_raised
from tests.builders import body, post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard():
    """What the receivers of the signal were given."""
    heard = []

    def receiver(alarm, subject, message, **kwargs):
        heard.append((alarm, subject, message))

    alarm_raised.connect(receiver)
    yield heard
    alarm_raised.disconnect(receiver)


@pytest.mark.parametrize("action", ["errors", "stopped"])
@pytest.mark.parametrize("entity", ["webhook19", "webhook"])
def test_a_webhook_that_superoffice_switched_off(heard, entity, action):
    wire = body(Event=f"{entity}.{action}", Entity=..., PrimaryKey=19, FieldValues=None)
    assert post(wire).content == b"recorded\n"
    assert post(wire).content == b"duplicate\n"
    assert heard == [
        (
            Alarm.WEBHOOK_STOPPED,
            "Cust24680",
            f"SuperOffice says {entity}.{action} of webhook 19 of tenant 'Cust24680' at "
            "2026-03-02 09:15 UTC: unless it was switched on again since, what happens there is "
            "lost. To know, type: python manage.py superoffice_doctor",
        )
    ]


@pytest.mark.parametrize(
    "event", ["webhook19.started", "webhook18.errors", "contact.stopped", "webhooks.errors"]
)
def test_no_other_event_sounds_like_one(heard, event):
    assert post(body(Event=event, Entity=..., PrimaryKey=19)).content == b"recorded\n"
    assert heard == []


def test_each_new_quarantined_delivery(heard, settings):
    settings.SUPEROFFICE_HOOKS = {
        "ENDPOINTS": {
            name: {"SECRETS": [settings.SECRET], "CONTEXTS": ["Cust1"]} for name in ("a", "b")
        }
    }
    post(b"not JSON", url="/superoffice/webhook/a/")
    post(body(), url="/superoffice/webhook/b/")
    first, second = Delivery.objects.order_by("id")
    assert heard == [
        (
            Alarm.QUARANTINED,
            delivery.endpoint,
            f"A delivery to endpoint {delivery.endpoint!r} was quarantined: {delivery.reason}",
        )
        for delivery in (first, second)
    ]
    assert "tenant that this endpoint does not take" in second.reason


def test_a_contradiction_is_quarantined_and_told(heard):
    event_id = "0b7c1a52-3a55-4b14-8df0-2f6f1a54c0ab"
    post(body(EventId=event_id))
    post(body(EventId=event_id, ChangedByAssociateId=99))
    assert [(alarm, subject) for alarm, subject, _ in heard] == [(Alarm.QUARANTINED, "default")]


def test_what_is_processed_again_in_vain_is_no_news(heard):
    post(b"not JSON")
    heard.clear()
    alarms._last.clear()
    reprocess(Delivery.objects.get(), by="somebody")
    assert heard == []
