import json

import pytest

from superoffice_hooks.trail import selection as selections
from tests.builders import body, post
from tests.payloads import PAYLOADS
from tests.trail.exports import ODD_VALUES


@pytest.fixture
def odd(db):
    """Events and deliveries of every kind, some of one moment."""
    for wire in PAYLOADS:
        post(wire)
    for number in range(3):
        odd = body(PrimaryKey=number, FieldValues=ODD_VALUES, Values=ODD_VALUES, Odd=ODD_VALUES)
        post(json.dumps(odd).encode())  # half a surrogate pair is no UTF-8
    post(body(Event="\N{GRINNING FACE}.=1+1", Entity=..., Changes=["b", "a", "=cmd", "@x"]))
    for webhook in ("Audit trail", "Second"):
        twin = body(WebhookName=webhook, Changes=None, FieldValues=None)
        post(twin | {"Timestamp": "2026-03-02T09:15:27Z"})
    post(body(Timestamp="2026-03-02T09:15:27", PrimaryKey=2**63 - 1, ChangedByAssociateId=-1))
    post(b"not JSON \xff;=1")
    post(b"\n\n-not JSON either")
    post(body(Event="test", Entity=...))


@pytest.fixture
def small_chunks(monkeypatch):
    """Read seven rows at a time."""
    monkeypatch.setattr(selections, "CHUNK", 7)
