"""The ways to take a delivery: each proves the signature, and answers 200 after the commit."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.views.decorators.csrf import csrf_exempt

from tests.benchmarks.peers.models import (
    AuditedBlob,
    Blob,
    PeerChangedField,
    PeerEvent,
    PeerFieldValue,
)

View = Callable[[HttpRequest], HttpResponse]


def stores(store: Callable[[bytes], None]) -> View:
    """Make a view of what stores a body; nothing unsigned comes near it."""

    def view(request: HttpRequest) -> HttpResponse:
        mac = hmac.digest(settings.SECRET.encode(), request.body, hashlib.sha256)
        told = request.headers.get("X-SuperOffice-Signature", "")
        if not hmac.compare_digest(base64.b64encode(mac), told.encode()):
            return HttpResponse(status=401)
        store(request.body)
        return HttpResponse("ok\n", content_type="text/plain")

    return csrf_exempt(view)


@stores
def floor(body: bytes) -> None:
    """Store nothing: what a signed request costs at least."""


@stores
def blob(body: bytes) -> None:
    """Store one row."""
    Blob.objects.create(body=json.loads(body))


@stores
def audited(body: bytes) -> None:
    """Store one row, which django-auditlog logs in another."""
    AuditedBlob.objects.create(body=json.loads(body))


@stores
def orm(body: bytes) -> None:
    """Store the event, its changed fields and its values, row by row."""
    told = json.loads(body)
    with transaction.atomic():
        event = PeerEvent.objects.create(**columns(told))
        for name in told["Changes"]:
            PeerChangedField.objects.create(event=event, name=name)
        for name, value in values(told).items():
            PeerFieldValue.objects.create(event=event, name=name, value=value)


@stores
def bulk(body: bytes) -> None:
    """Store the event, and its fields and values by one statement each."""
    told = json.loads(body)
    with transaction.atomic():
        event = PeerEvent.objects.create(**columns(told))
        PeerChangedField.objects.bulk_create(
            PeerChangedField(event=event, name=name) for name in told["Changes"]
        )
        PeerFieldValue.objects.bulk_create(
            PeerFieldValue(event=event, name=name, value=value)
            for name, value in values(told).items()
        )


def columns(told: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the event."""
    return {
        "event_id": told["EventId"],
        "name": told["Event"],
        "entity": told["Entity"],
        "primary_key": told["PrimaryKey"],
        "context_identifier": told["ContextIdentifier"],
        "changed_by_associate_id": told["ChangedByAssociateId"],
        "webhook_name": told["WebhookName"],
        "occurred_at": parse_datetime(told["Timestamp"]),
    }


def values(told: dict[str, Any]) -> dict[str, Any]:
    """Return the values that the event tells, before or after its record was deleted."""
    found: dict[str, Any] = told.get("FieldValues") or told.get("Values") or {}
    return found
