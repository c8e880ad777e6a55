"""What a test needs to write a delivery: bodies with defaults, signatures, a strict client."""

import json
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from superoffice_hooks.wire.signature import sign

URL = "/superoffice/webhook/"


def body(**changes: Any) -> dict[str, Any]:
    """A complete contact.changed as a dict; a key given as ``...`` is left out."""
    wire = {
        "EventId": str(uuid4()),
        "Timestamp": "2026-03-02T09:15:27.1234567Z",
        "Changes": ["name", "orgNr", "updated"],
        "Event": "contact.changed",
        "PrimaryKey": 4711,
        "Entity": "contact",
        "ContextIdentifier": "Cust24680",
        "ChangedByAssociateId": 12,
        "WebhookName": "Audit trail",
        "FieldValues": {"name": "Fjordbygg AS", "orgNr": "912345678", "contact_id": 4711},
    } | changes
    return {key: value for key, value in wire.items() if value is not ...}


def encode(wire: Any) -> bytes:
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode()


def post(
    raw: bytes | dict[str, Any],
    *,
    url: str = URL,
    secret: str = "",
    signature: str | None = None,
    client: Client | None = None,
    **headers: str,
) -> HttpResponse:
    """Sign for real and post through a client that enforces CSRF checks."""
    raw = encode(raw) if isinstance(raw, dict) else raw
    if signature is None:
        signature = sign(raw, secret or settings.SECRET)
    sent = {"X-SuperOffice-Signature": signature} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    client = client or Client(enforce_csrf_checks=True)
    return client.generic("POST", url, raw, "application/json; charset=utf-8", headers=sent)


def inserts(sql: str, table: str = "superoffice_hooks_") -> bool:
    """Whether this statement writes new rows into this table, also where it is prepared."""
    return ("INSERT INTO" in sql and table in sql) or "EXECUTE superoffice_hooks_insert" in sql
