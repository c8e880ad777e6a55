"""How new events and exact copies are written: several deliveries at once, where the database can.

PostgreSQL is given one message for all of them, SQLite one transaction without the ORM; elsewhere,
and for whatever is neither, ``rows`` writes one delivery after another by the ORM. All ways write
the same rows.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from itertools import tee
from typing import Any, Final, NamedTuple
from uuid import UUID
from weakref import WeakSet

from django.db import DatabaseError, connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, Model, OuterRef
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.intake.deadline import Deadline, message_within, transaction_within
from superoffice_hooks.intake.derived import related_to
from superoffice_hooks.models import (
    ChangedField,
    DeletedValue,
    Delivery,
    Event,
    Outcome,
    RelatedRecord,
)
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.packed import pack
from superoffice_hooks.wire.payload import Payload

KEY: Final = ("event_id", "context_identifier", "name", "primary_key")
LARGE: Final = 64 * 1024  # bytes of a body that is written alone: others need not wait for it
LOCK_TIMEOUT: Final = 200  # milliseconds; then each is tried alone, and waits only for its own


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that nobody may have told before, and the delivery that tells it; not yet stored.

    ``event`` and ``delivery`` are the columns of their rows, without ids.
    """

    payload: Payload = field(repr=False)
    event: dict[str, Any] = field(repr=False)
    delivery: dict[str, Any] = field(repr=False)


def is_possible(alias: str) -> bool:
    """Whether this database takes several deliveries at once."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        # Several statements in one message are the client's to bind.
        return _is_psycopg_3() and not connection.settings_dict["OPTIONS"].get(
            "server_side_binding"
        )
    return connection.vendor in _WAYS and connection.features.can_return_columns_from_insert


def is_light(body: bytes, payload: Payload) -> bool:
    """Whether this delivery may be written with others: it is small, also when it is unpacked."""
    return len(body) <= LARGE and Flag.ENCODED not in payload.flags


def _is_psycopg_3() -> bool:
    from django.db.backends.postgresql import psycopg_any

    return bool(psycopg_any.is_psycopg3)


@sensitive_variables()
def insert(news: Iterable[NewEvent], alias: str, deadline: Deadline | None) -> dict[int, Delivery]:
    """Store those that are new with all their rows, in one transaction.

    ``news`` is read when the database can take them: on SQLite when nobody else writes.
    Returns their deliveries, with their events, by their places in ``news``; twins of stored events
    are linked. What is recorded already from the same bytes is returned as a duplicate, without its
    event. Nothing is stored of those whose key is known from other bytes, of this very arrival if
    it was stored before, of what another transaction is just writing, or, by one message, of copies
    and twins within ``news``: whoever asks again finds them. Raises ``django.db.DatabaseError``
    where the database cannot take them: then none is stored.
    """
    connection = connections[alias]
    news, read = tee(news)
    stored = _WAYS[connection.vendor](connection, enumerate(news), deadline)
    given = list(read)
    return {place: _instance(given[place], alias, ids) for place, ids in stored.items()}


def _key(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[name] for name in KEY)


def _instance(new: NewEvent, alias: str, stored: "Stored") -> Delivery:
    """Return the delivery with its new event, as if they had been read from the database."""
    columns = {**new.delivery, "event_id": stored.event, "id": stored.delivery}
    if stored.is_copy:
        columns["outcome"] = Outcome.DUPLICATE
    delivery = Delivery.from_db(alias, _DELIVERY, [columns[name] for name in _DELIVERY])
    if not stored.is_copy:
        told = {"twin_of_id": stored.twin_of, "fingerprint": None} if stored.twin_of else {}
        columns = {**new.event, **told, "id": stored.event}
        delivery.event = Event.from_db(alias, _EVENT, [columns[name] for name in _EVENT])
    return delivery


_EVENT: Final = [column.attname for column in Event._meta.concrete_fields]
_DELIVERY: Final = [column.attname for column in Delivery._meta.concrete_fields]

Placed = Iterable[tuple[int, NewEvent]]


class Stored(NamedTuple):
    """The ids of an event, of the one that told its change first, and of the delivery."""

    event: int
    twin_of: int | None
    delivery: int
    is_copy: bool  # whether the event was there before


# PostgreSQL

# One statement for any number of events. It reads them from one JSON document, which costs less
# than as many parameters. The first that tells a change has its fingerprint; others name the first.
# A copy is a duplicate if its bytes are those that recorded the event, and no attempt to store this
# very arrival has been committed before. The plan may be made while the tables are empty and any
# index seems good: what is looked up is a subquery, and || and + leave it the one index that is.
_STATEMENT: Final = """\
WITH given AS MATERIALIZED (
    SELECT
        document.*,
        (SELECT id FROM {event} WHERE fingerprint = document.fingerprint) AS teller,
        (
            SELECT id FROM {event} WHERE event_id = document.event_id
            AND context_identifier || '' = document.context_identifier
            AND name || '' = document.name AND primary_key + 0 = document.primary_key
        ) AS known
    FROM json_to_recordset($1::json)
        AS document(place int, changes json, values json, related json, {given})
), new AS (
    INSERT INTO {event} ({event_columns})
    SELECT {event_values} FROM given ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING id, event_id, context_identifier, name, primary_key
), stored AS (
    SELECT given.*, new.id, false AS is_copy
    FROM given JOIN new USING (event_id, context_identifier, name, primary_key)
), changed AS (
    INSERT INTO {changedfield} (event_id, position, name)
    SELECT id, change.position - 1, change.field
    FROM stored, json_array_elements_text(changes) WITH ORDINALITY AS change(field, position)
), deleted AS (
    INSERT INTO {deletedvalue} (event_id, name, value)
    SELECT id, key, CASE json_typeof(value) WHEN 'null' THEN NULL ELSE value::jsonb END
    FROM stored, json_each("values")
), named AS (
    INSERT INTO {relatedrecord} (event_id, entity, primary_key, context_identifier, occurred_at)
    SELECT id, record.entity, record.primary_key, context_identifier, occurred_at
    FROM stored, json_to_recordset(related) AS record(entity text, primary_key bigint)
), copied AS (
    SELECT given.*, known AS id, true AS is_copy
    FROM given
    WHERE (
        SELECT told.body = given.body FROM {delivery} AS told
        WHERE told.event_id = known AND told.outcome || '' = '{recorded}' LIMIT 1
    ) AND (
        SELECT true FROM {delivery} AS told
        WHERE told.received_at = given.received_at
        AND told.event_id + 0 = known AND told.endpoint = given.endpoint LIMIT 1
    ) IS NULL
), brought AS (
    SELECT * FROM stored UNION ALL SELECT * FROM copied
), delivery AS (
    INSERT INTO {delivery} (event_id, {delivery_columns})
    SELECT id, {delivery_values} FROM brought ORDER BY place
    RETURNING event_id, id
)
SELECT place, brought.id, teller, delivery.id, is_copy
FROM brought JOIN delivery ON delivery.event_id = brought.id
"""
_DECIDED: Final = {
    "fingerprint": "CASE WHEN teller IS NULL THEN fingerprint END",
    "twin_of_id": "teller",
    "outcome": f"CASE WHEN is_copy THEN '{Outcome.DUPLICATE}' ELSE outcome END",
}
_UNKNOWN_STATEMENT, _KNOWN_STATEMENT = "26000", "42P05"
_knowing: Final = WeakSet[Any]()  # the connections on which the statement is prepared


@sensitive_variables()
def _by_one_message(connection: Any, news: Placed, deadline: Deadline | None) -> dict[int, Stored]:
    """PostgreSQL: one message, and so one transaction, with one statement for all rows."""
    document = _encode([_as_document(place, new) for place, new in _apart(news)])
    alias = connection.alias
    if not commits_by_itself(connection):
        with transaction_within(deadline, alias), connection.cursor() as cursor:
            cursor.execute(_statement(alias).replace("$1", "%s"), [document])
            return _returned(cursor)
    with message_within(deadline, alias) as limits, connection.cursor() as cursor:
        # A plan made while the tables were empty would read them from end to end ever after.
        begin = f"{limits}SET LOCAL lock_timeout = {LOCK_TIMEOUT};SET LOCAL enable_seqscan = off;"
        try:
            cursor.execute(begin + _prepared(connection, cursor, begin), [document])
        except DatabaseError as error:
            if _sqlstate(error) == _UNKNOWN_STATEMENT:
                _knowing.discard(connection.connection)  # somebody has deallocated it
            raise
        return _returned(cursor)


def _apart(news: Placed) -> list[tuple[int, NewEvent]]:
    """Return those of which one statement can store each: no copy or twin of one before."""
    taken: set[Any] = set()
    apart = []
    for place, new in news:
        keys = {_key(new.event), new.event["fingerprint"] or _key(new.event)}
        if taken.isdisjoint(keys):
            apart.append((place, new))
        taken |= keys
    return apart


def commits_by_itself(connection: Any) -> bool:
    """Whether no transaction is open that somebody else has begun, and means to end."""
    if connection.in_atomic_block:
        return False
    if connection.connection is None:
        return bool(connection.settings_dict["AUTOCOMMIT"])
    return bool(connection.autocommit)


def _prepared(connection: Any, cursor: CursorWrapper, begin: str) -> str:
    """Return what executes the statement on this connection, with a place for the document.

    On a connection that lasts it is prepared, and planned no more after the first few times.
    """
    site, statement = connection.settings_dict, _statement(connection.alias)
    lasts = site["CONN_MAX_AGE"] != 0 or bool(site["OPTIONS"].get("pool"))
    # With a pooler between, the next transaction may be another session's.
    if not lasts or site.get("DISABLE_SERVER_SIDE_CURSORS"):
        return statement.replace("$1", "%s")
    # Another release may be at the other end of a pool that nobody has told of.
    name = f"superoffice_hooks_insert_{sha256(statement.encode()).hexdigest()[:12]}"
    if connection.connection not in _knowing:
        try:
            cursor.execute(f"{begin}PREPARE {name} AS {statement}")
        except DatabaseError as error:
            if _sqlstate(error) != _KNOWN_STATEMENT:
                raise
        _knowing.add(connection.connection)
    return f"EXECUTE {name} (%s)"


def _sqlstate(error: DatabaseError) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _returned(cursor: CursorWrapper) -> dict[int, Stored]:
    with cursor.db.wrap_database_errors:
        answers = cursor.cursor  # Django wraps each call anew
        while answers.nextset():
            pass
        return {place: Stored(*told) for place, *told in answers.fetchall()}


@cache
def _statement(alias: str) -> str:
    connection = connections[alias]
    quote = connection.ops.quote_name
    event, delivery = _given(Event), _given(Delivery)
    types = {column.column: column.db_type(connection) for column in (*event, *delivery)}
    tables = {
        str(model._meta.model_name): _table(connection, model)
        for model in (Event, ChangedField, DeletedValue, RelatedRecord, Delivery)
    }

    def values(columns: list[Any]) -> list[str]:
        return [_DECIDED.get(column.column, quote(column.column)) for column in columns]

    return _STATEMENT.format(
        given=", ".join(f"{quote(name)} {db_type}" for name, db_type in types.items()),
        event_columns=", ".join(quote(column.column) for column in event),
        event_values=", ".join(values(event)),
        delivery_columns=", ".join(quote(column.column) for column in delivery),
        delivery_values=", ".join(values(delivery)),
        recorded=Outcome.RECORDED,
        **tables,
    )


def _given(model: type[Model]) -> list[Any]:
    """Return the columns that are given, and not by the database."""
    by_the_database = ("id", "event_id") if model is Delivery else ("id",)
    return [
        column for column in model._meta.concrete_fields if column.attname not in by_the_database
    ]


def _as_document(place: int, new: NewEvent) -> dict[str, Any]:
    payload = new.payload
    return {
        # What both have a column for, ``received_at``, is the same of both.
        **new.delivery,
        **new.event,
        "body": pack(new.delivery["body"]),
        "place": place,
        "changes": payload.changes,
        "values": payload.values,
        "related": [
            {"entity": entity, "primary_key": primary_key}
            for entity, primary_key in related_to(payload)
        ],
    }


def _as_text(value: UUID | datetime | bytes) -> str:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


_encode: Final = json.JSONEncoder(default=_as_text, ensure_ascii=False).encode


# SQLite

# A statement for each table reads the rows of all events from one JSON document: others of this
# process run between two steps, of which executemany has one for each row, and meanwhile nobody
# else can write.
_EVENTS: Final = """\
INSERT INTO {event} ({event_columns})
SELECT {event_values}
FROM json_each(%(rows)s) AS given
LEFT JOIN {event} AS teller ON teller.fingerprint = {fingerprint}
WHERE true
ON CONFLICT DO NOTHING
RETURNING id, twin_of_id, event_id, context_identifier, name, primary_key
"""
_CHANGED_FIELDS: Final = """\
INSERT INTO {changedfield} (event_id, position, name)
SELECT told.key, change.key, change.value
FROM json_each(%(rows)s) AS told, json_each(told.value) AS change
"""
_DELETED_VALUES: Final = """\
INSERT INTO {deletedvalue} (event_id, name, value)
SELECT told.key, deleted.key, deleted.value
FROM json_each(%(rows)s) AS told, json_each(told.value) AS deleted
"""
_RELATED_RECORDS: Final = """\
INSERT INTO {relatedrecord} (event_id, entity, primary_key, context_identifier, occurred_at)
SELECT event.id, json_extract(record.value, '$[0]'), json_extract(record.value, '$[1]'),
    event.context_identifier, event.occurred_at
FROM json_each(%(rows)s) AS told
CROSS JOIN {event} AS event ON event.id = CAST(told.key AS integer)
CROSS JOIN json_each(told.value) AS record
"""
# JSON holds no bytes: the bodies are one BLOB, and each row says where its own begins and how long
# it is.
_DELIVERIES: Final = """\
INSERT INTO {delivery} (event_id, body, {delivery_columns})
SELECT
    json_extract(given.value, '$[0]'),
    substr(%(bodies)s, json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]')),
    {delivery_values}
FROM json_each(%(rows)s) AS given
WHERE true
RETURNING event_id, id
"""
_DOCUMENTS: Final[dict[type[Model], str]] = {
    Event: _EVENTS,
    ChangedField: _CHANGED_FIELDS,
    DeletedValue: _DELETED_VALUES,
    RelatedRecord: _RELATED_RECORDS,
    Delivery: _DELIVERIES,
}


class _Rows(NamedTuple):
    """What the columns of all tables take of a delivery that may bring a new event."""

    event: dict[str, Any]
    changed: Sequence[str]
    deleted: dict[str, Any]
    related: Sequence[tuple[str, int]]
    delivery: dict[str, Any]
    body: memoryview


@sensitive_variables()
def _by_documents(connection: Any, news: Placed, deadline: Deadline | None) -> dict[int, Stored]:
    """SQLite: a statement for each table; there is no round trip that could be spared.

    A copy or a twin within ``news`` is written after what it is like: each sees what was written
    before it.
    """
    stored: dict[int, Stored] = {}
    with transaction_within(deadline, connection.alias), connection.cursor() as cursor:
        left = dict(news)
        while left:
            apart = dict(_apart(left.items()))
            stored |= _write(connection, cursor, apart)
            left = {place: new for place, new in left.items() if place not in apart}
    return dict(sorted(stored.items()))


@sensitive_variables()
def _write(connection: Any, cursor: CursorWrapper, news: dict[int, NewEvent]) -> dict[int, Stored]:
    """Write some of which none is a copy or a twin of another."""
    insert_into = _document_statements(connection.alias)
    rows = {place: _rows(connection, new) for place, new in news.items()}
    events = [list(row.event.values()) for row in rows.values()]
    cursor.execute(insert_into[Event], {"rows": _encode(events)})
    ids = {tuple(key): (event, twin_of) for event, twin_of, *key in cursor.fetchall()}
    new: dict[int, _Rows] = {}
    brought: dict[int, tuple[int, int | None]] = {}
    for place, row in rows.items():
        event, twin_of = ids.get(_key(row.event), (None, None))
        if event is not None:
            new[event] = row
        else:
            event = _copied(news[place], connection.alias)
            row.delivery["outcome"] = Outcome.DUPLICATE
        if event is not None:
            brought[event] = place, twin_of
    for model, document in (
        (ChangedField, {event: row.changed for event, row in new.items() if row.changed}),
        (DeletedValue, {event: row.deleted for event, row in new.items() if row.deleted}),
        (RelatedRecord, {event: row.related for event, row in new.items() if row.related}),
    ):
        if document:
            cursor.execute(insert_into[model], {"rows": _encode(document)})
    deliveries, bodies = [], b""
    for event, (place, _) in brought.items():
        row = rows[place]
        deliveries.append([event, len(bodies) + 1, len(row.body), *row.delivery.values()])
        bodies += row.body
    cursor.execute(insert_into[Delivery], {"rows": _encode(deliveries), "bodies": bodies})
    stored = {}
    for event, delivery in cursor.fetchall():
        place, twin_of = brought[event]
        stored[place] = Stored(event, twin_of, delivery, is_copy=event not in new)
    return stored


@sensitive_variables()
def _rows(connection: Any, new: NewEvent) -> _Rows:
    payload, value = new.payload, DeletedValue._meta.get_field("value")
    delivery = _saved(connection, Delivery, new.delivery)
    return _Rows(
        event=_saved(connection, Event, new.event),
        changed=payload.changes,
        deleted={
            name: value.get_db_prep_save(told, connection) for name, told in payload.values.items()
        },
        related=related_to(payload),
        body=delivery.pop("body"),
        delivery=delivery,
    )


def _saved(connection: Any, model: type[Model], row: dict[str, Any]) -> dict[str, Any]:
    """Return what the columns take, by the names of the fields."""
    return {
        column.attname: column.get_db_prep_save(row[column.attname], connection)
        for column in _given(model)
    }


@cache
def _document_statements(alias: str) -> dict[type[Model], str]:
    connection = connections[alias]
    quote = connection.ops.quote_name
    event = [column.column for column in _given(Event)]
    delivery = [column.column for column in _given(Delivery) if column.column != "body"]
    told = {name: _place(place) for place, name in enumerate(event)}
    decided = {
        "fingerprint": f"CASE WHEN teller.id IS NULL THEN {told['fingerprint']} END",
        "twin_of_id": "teller.id",
    }
    names = {
        "event_columns": ", ".join(map(quote, event)),
        "event_values": ", ".join((told | decided).values()),
        "fingerprint": told["fingerprint"],
        "delivery_columns": ", ".join(map(quote, delivery)),
        "delivery_values": ", ".join(_place(3 + place) for place in range(len(delivery))),
        **{str(model._meta.model_name): _table(connection, model) for model in _DOCUMENTS},
    }
    return {model: statement.format(**names) for model, statement in _DOCUMENTS.items()}


def _place(place: int) -> str:
    return f"json_extract(given.value, '$[{place}]')"


def _copied(new: NewEvent, alias: str) -> int | None:
    """Return the id of the event of which this is a copy, and no more."""
    told = Delivery.objects.using(alias).filter(event=OuterRef("pk"))
    same = told.filter(outcome=Outcome.RECORDED, body=new.delivery["body"])
    this = told.filter(endpoint=new.delivery["endpoint"], received_at=new.delivery["received_at"])
    events = Event.objects.using(alias).filter(Exists(same), ~Exists(this))
    known = events.filter(**{name: new.event[name] for name in KEY})
    return known.order_by().values_list("pk", flat=True).first()


def _table(connection: Any, model: type[Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


_WAYS: Final[dict[str, Callable[[Any, Placed, Deadline | None], dict[int, Stored]]]] = {
    "postgresql": _by_one_message,
    "sqlite": _by_documents,
}
