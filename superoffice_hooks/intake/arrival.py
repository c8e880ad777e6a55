"""What is known of a delivery before its body is read."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """One POST as it came, whether it is stored, spooled or refused.

    ``body`` is as it came. ``headers`` and ``remote_address`` are kept as evidence. ``key_id``
    names the secret that gave the signature.
    """

    endpoint: str
    received_at: datetime
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    remote_address: str
    signature: str = field(repr=False)
    key_id: str
