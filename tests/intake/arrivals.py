"""What arrived, and the rows that it would bring, without a request around them."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection

from superoffice_hooks.intake import rows
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.insert import NewEvent
from superoffice_hooks.wire.payload import parse
from tests.builders import body, encode

together = pytest.mark.skipif(
    connection.vendor == "mysql", reason="MariaDB is written by the ORM alone"
)


def arrival(raw: bytes) -> Arrival:
    return Arrival(
        endpoint="acme",
        received_at=datetime(2026, 3, 2, 9, 15, 28, 123456, tzinfo=UTC),
        body=raw,
        headers={"X-SuperOffice-Event": "æøå \N{SNOWMAN} \\ ' \" %s"},
        remote_address="2001:db8::1",
        signature="bm8gc2lnbmF0dXJl",
        key_id="0123abcd",
    )


def new(**changes) -> NewEvent:
    raw = encode(body(**changes))
    payload = parse(raw)
    return rows._new_event(arrival(raw), payload, payload.event_id or uuid4(), "a mark")
