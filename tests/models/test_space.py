"""What an event takes on the disk of PostgreSQL, by table and index: nothing may grow unseen."""

from copy import deepcopy
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from django.db import connection

from superoffice_hooks.intake import rows
from superoffice_hooks.intake.insert import insert
from superoffice_hooks.models import ChangedField, DeletedValue, Delivery, Event, RelatedRecord
from superoffice_hooks.wire.payload import parse
from tests.builders import encode
from tests.intake.arrivals import arrival
from tests.payloads import PAYLOADS

MODELS = (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
ROUNDS = 40  # of the documented events

# Bytes an event with its indexes, a tenth more than PostgreSQL 15 takes. Whoever adds a column
# or an index raises them on purpose.
MOST = {
    "event": 1180,
    "changedfield": 585,
    "deletedvalue": 91,
    "relatedrecord": 241,
    "delivery": 538,
}


def documented(random):
    """Each documented event once more, as of another record and moment."""
    for wire in PAYLOADS:
        wire = deepcopy(wire)
        if wire["Event"] == "test":
            continue
        wire["EventId"] = str(UUID(int=random.getrandbits(128)))
        wire["PrimaryKey"] = random.randrange(10**6)
        payload = parse(raw := encode(wire))
        moved = payload.occurred_at + timedelta(seconds=random.randrange(10**7))
        new = rows._new_event(arrival(raw), payload, payload.event_id)
        new.event.update(occurred_at=moved, fingerprint=UUID(int=random.getrandbits(128)))
        yield new


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL tells its sizes")
@pytest.mark.django_db(transaction=True)
def test_an_event_takes_no_more_than_it_did():
    tables = [model._meta.db_table for model in MODELS]
    with connection.cursor() as cursor:  # of what other tests rolled back the pages are still there
        cursor.execute(f"TRUNCATE {', '.join(tables)}")
    random, events = Random(20261121), 0
    for _ in range(ROUNDS):
        news = list(documented(random))
        assert len(insert(news, "default", None)) == len(news)
        events += len(news)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname = ANY(%s)",
            [tables],
        )
        sizes = {name.partition("hooks_")[2]: size / events for name, size in cursor.fetchall()}
    assert {name for name, size in sizes.items() if size > MOST[name]} == set()
