"""What tells one change from another, whatever EventId and webhook brought it.

A change that failed three times may come again under a new EventId, and two webhooks of one tenant
tell of every change twice. What they say of the change itself is the same to the last digit.
"""

import hashlib
import json
from typing import Final
from uuid import UUID

from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.payload import Payload

# Under these flags the bytes say more than the payload does, and the rest may differ.
INEXACT: Final = frozenset({Flag.LOSSY, Flag.CAPPED, Flag.DUPLICATE_KEYS})


# Escaped to ASCII there is nothing in it that cannot be encoded.
_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(payload: Payload) -> UUID | None:
    """Return 128 bits that two payloads share only if they tell the same change; never raises.

    The event's id, the webhook's name and the keys that are not SuperOffice's own are left out, and
    the order of names is no difference. Everything else is one. ``None`` where the payload does not
    hold all that its body says: then nobody can tell what else is the same.
    """
    if not INEXACT.isdisjoint(payload.flags):
        return None
    change = [
        payload.context_identifier,
        payload.name,
        payload.entity,
        payload.primary_key,
        # What a datetime does not hold of the fraction.
        f"{payload.occurred_at.isoformat()} {payload.fraction[6:]}",
        payload.changed_by_associate_id,
        sorted(payload.changes),
        payload.values,
        payload.field_values,
    ]
    return UUID(bytes=hashlib.sha256(_encode(change).encode()).digest()[:16])
