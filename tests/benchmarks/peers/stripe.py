"""What dj-stripe needs to take our deliveries for events of Stripe."""

import hashlib
import hmac
import time
from uuid import UUID

from django.conf import settings

ENDPOINT = UUID("5f0c3a9e-5a1d-4c7e-9b57-0d7c1d5a2b10")
PATH = f"/stripe/webhook/{ENDPOINT}/"


def prepare() -> None:
    """Make the rows of the account, its key and its endpoint, without which nothing is taken."""
    from djstripe.enums import APIKeyType
    from djstripe.models import Account, APIKey, WebhookEndpoint

    account, _ = Account.objects.get_or_create(
        id="acct_benchmark", defaults={"livemode": False, "stripe_data": {"id": "acct_benchmark"}}
    )
    APIKey.objects.get_or_create(
        secret=settings.STRIPE_TEST_SECRET_KEY,
        defaults={
            "type": APIKeyType.secret,
            "livemode": False,
            "djstripe_owner_account": account,
        },
    )
    WebhookEndpoint.objects.get_or_create(
        djstripe_uuid=ENDPOINT,
        defaults={
            "id": "we_benchmark",
            "livemode": False,
            "url": "http://127.0.0.1/",
            "status": "enabled",
            "enabled_events": ["*"],
            "secret": settings.SECRET,
            "djstripe_owner_account": account,
        },
    )


def wrapped(number: int, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a body as the object of an event of Stripe that nothing handles, and its headers."""
    now = int(time.time())
    told = (
        b'{"id":"evt_%d_%s","object":"event","api_version":"2024-06-20","created":%d,'
        b'"data":{"object":%s},"livemode":false,"pending_webhooks":1,'
        b'"request":{"id":null,"idempotency_key":null},"type":"benchmark.changed"}'
        % (number, hashlib.sha256(body).hexdigest()[:16].encode(), now, body)
    )
    mac = hmac.digest(settings.SECRET.encode(), b"%d.%s" % (now, told), hashlib.sha256).hex()
    return told, {"Stripe-Signature": f"t={now},v1={mac}"}
