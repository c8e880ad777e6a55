"""Receivers with a fault that the checker must find; ``PLANTED`` names which.

Run as ``python -m tests.reliability.faulty``, it takes the unique keys from the database.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

BATCH = 50


def plant(name: str) -> None:
    """Put this fault into the process."""
    {
        "answer before the commit": _answer_early,
        "read before the write": _read_first,
        "unlink before the commit": _unlink_first,
        "other bytes": _write_anew,
        "an invention": _invent,
    }[name]()


def _answer_early() -> None:
    """Answer 200 at once, and store later, a batch at a time."""
    from superoffice_hooks.conf import Endpoint
    from superoffice_hooks.intake import view
    from superoffice_hooks.wire.signature import verify

    store, batch = view.ingest, []

    def ingest(
        endpoint: Endpoint, body: bytes, headers: Mapping[str, str], remote_address: str = ""
    ) -> None:
        verify(body, headers.get("X-SuperOffice-Signature", ""), endpoint.secrets)
        batch.append((endpoint, body, headers, remote_address))
        while len(batch) >= BATCH:
            store(*batch.pop())

    view.ingest = ingest


def _read_first() -> None:
    """Ask whether it is there before it is written, which SQLite's DEFERRED does not bear."""
    from superoffice_hooks.intake import rows
    from superoffice_hooks.models import Delivery

    def claim(self: rows.Row, alias: str) -> None:
        Delivery.objects.using(alias).filter(reason="nobody's").exists()

    rows.Row.claim = claim  # type: ignore[method-assign]
    rows.is_possible = lambda alias: False


def _unlink_first() -> None:
    """Remove the spool's file, and then store what was in it."""
    from superoffice_hooks.intake import drain

    def take(spool: Any, path: Any) -> str:
        arrival = drain.read(path.read_bytes())
        path.unlink()
        endpoint = drain.conf.endpoint(arrival.endpoint)
        return str(drain.settle(arrival, endpoint, drain.SpooledRow(arrival)).outcome)

    drain._take = take
    drain._take_together = lambda paths, count: paths


def _write_anew() -> None:
    """Store what was parsed, and not what came."""
    _before_settling(
        lambda arrival: replace(arrival, body=json.dumps(json.loads(arrival.body)).encode())
    )


def _invent() -> None:
    """Store an event of one's own with each."""
    from superoffice_hooks.intake.settle import settle
    from tests.builders import body, encode

    def invent(arrival: Any) -> Any:
        from superoffice_hooks.conf import conf

        endpoint = conf.endpoint(arrival.endpoint)
        assert endpoint is not None
        settle(replace(arrival, body=encode(body())), endpoint)
        return arrival

    _before_settling(invent)


def _before_settling(change: Callable[[Any], Any]) -> None:
    from superoffice_hooks.intake import ingest

    settle = ingest.settle
    ingest.settle = lambda arrival, *rest: settle(change(arrival), *rest)


def drop_keys() -> None:
    """Take from ``Event`` whatever keeps an event from being stored twice."""
    from django.db import connection, models

    from superoffice_hooks.models import Event

    with connection.schema_editor() as editor:
        for constraint in Event._meta.constraints:
            if isinstance(constraint, models.UniqueConstraint):
                editor.remove_constraint(Event, constraint)
        Event._meta.constraints = []
    for field in Event._meta.local_fields:
        if field.unique and not field.primary_key:
            plain = field.clone()
            plain._unique = False
            plain.set_attributes_from_name(field.name)
            plain.model = Event
            with connection.schema_editor() as editor:
                editor.alter_field(Event, field, plain)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.reliability.settings")
    import django

    django.setup()
    drop_keys()
