"""What is known of SuperOffice's entities: their actions, table numbers and id fields.

Data that helps to display and to link. It is never a gate: an entity or action that is not here
is recorded like any other.

Source: SuperOffice documentation, the reference pages of webhook events and the database tables.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from superoffice_hooks.wire.values import decode


class Entity(NamedTuple):
    """One kind of record that raises events.

    ``name`` is the wire's Entity. ``table`` is the number by which relation rows name the table,
    ``None`` where none is documented. ``key`` is the field that holds the record's own id.
    """

    name: str
    actions: tuple[str, ...]
    table: int | None = None
    key: str | None = None


_ROW = ("created", "changed", "deleted")

ENTITIES: Final = {
    entity.name: entity
    for entity in (
        Entity("activity", _ROW, 9, "appointment_id"),
        Entity("associate", _ROW, 2, "associate_id"),
        Entity("chatsession", ("created", "changed", "message"), 332),
        Entity("contact", ("created", "changed", "softdeleted", "deleted"), 5, "contact_id"),
        Entity("document", (*_ROW, "edited"), 10, "document_id"),
        Entity(
            "person",
            ("created", "changed", "softdeleted", "deleted", "consented", "unconsented"),
            6,
            "person_id",
        ),
        Entity("project", _ROW, 11, "project_id"),
        Entity("projectmember", _ROW, 12, "projectmember_id"),
        Entity("quote", ("approved", "rejected", "sent", "ordered"), 34),
        Entity("relation", _ROW, None, "relation_id"),
        Entity("sale", (*_ROW, "completed", "lost", "sold"), 13, "sale_id"),
        Entity("salestakeholder", _ROW, 121, "salestakeholder_id"),
        Entity("ticket", ("created", "changed"), 262),
    )
}

ENTITY_OF_TABLE: Final = {
    entity.table: entity.name for entity in ENTITIES.values() if entity.table is not None
}

ENTITY_OF_FIELD: Final = {
    entity.key: entity.name for entity in ENTITIES.values() if entity.key is not None
} | {"registered_associate_id": "associate", "updated_associate_id": "associate"}

# The fields that SuperOffice itself keeps, by entity; "*" is every entity, and a * in a name
# stands for any letters.
TECHNICAL_FIELDS: Final = {
    "*": (
        "updated",
        "updatedCount",
        "updated_associate_id",
        "registered",
        "registered_associate_id",
        "last_changed",
        "soundEx",
        "dbi_*",
    )
}
MAX_RELATED: Final = 50  # records that one event names; a few are usual

# What SuperOffice says of a webhook itself: webhook19.errors, or webhook.errors of the key 19.
STOPPING: Final[tuple[str, ...]] = ("errors", "stopped")
STARTED: Final[str] = "started"

_RELATION_ENDS: Final = (
    ("source_table", "source_record"),
    ("destination_table", "destination_record"),
)


def is_webhook(entity: str, primary_key: int) -> bool:
    """Whether an event is about one of SuperOffice's webhooks itself."""
    return entity in ("webhook", f"webhook{primary_key}")


def same_field(name: str, entity: str = "") -> str:
    """Return what two spellings of one field share.

    SuperOffice names a field ``associate_id`` in one place and ``associateId`` in another, and
    a chat session's ``chatSession.topicId`` in Changes is ``TopicId`` in FieldValues: the name of
    the record's own ``entity`` before a dot says nothing.
    """
    prefix, dot, own = name.rpartition(".")
    if dot and prefix.casefold() == entity.casefold():
        name = own
    return name.replace("_", "").casefold()


_ENTITY_OF_SPELLING: Final = {same_field(name): entity for name, entity in ENTITY_OF_FIELD.items()}


def is_own_key(entity: str, field: str) -> bool:
    """Whether this field holds the record's own primary key."""
    known = ENTITIES.get(entity)
    if known is not None and known.key is not None:
        return same_field(field, entity) == same_field(known.key)
    if known is not None or entity.startswith("y_"):
        return field == "id"  # so do the tables that came with the service desk
    kind, _, name = entity.partition(".")
    return kind == "list" and same_field(field) in (same_field(f"{name}_id"), "udlistid")


def has_created(entity: str) -> bool:
    """Whether SuperOffice is known to tell when a record of this entity is created."""
    known = ENTITIES.get(entity)
    return "created" in known.actions if known else entity.startswith(("list.", "y_"))


def linked_record(field: str, value: object) -> tuple[str, int] | None:
    """Return the entity and primary key that an id field points to, or ``None``.

    What stands before a dot says nothing of the id. An id of 0 or -1 means none. Digits in a
    string are an id too: chat sessions send them.
    """
    entity = _ENTITY_OF_SPELLING.get(_spelling(field))
    key = None if entity is None else _key(value)
    return None if entity is None or key is None else (entity, key)


def linked_key(field: str, text: str) -> int | None:
    """Return the primary key that an id field of this value names, or ``None``.

    Of the fields whose records ``related_records`` gives whatever else is told, and the record's
    own key: not of who registered and updated it, nor of the ends of a relation, whose tables say
    what they are.
    """
    name = _spelling(field)
    return _key(text) if name in _ENTITY_OF_SPELLING and name not in _STAMPS else None


def linked_ends(values: Mapping[str, object]) -> dict[str, tuple[str, int]]:
    """Return which record each end of a relation points to, by the name of the end's id field."""
    ends = {}
    for table_field, record_field in _RELATION_ENDS:
        table, key = _key(values.get(table_field)), _key(values.get(record_field))
        entity = None if table is None else ENTITY_OF_TABLE.get(table)
        if entity is not None and key is not None:
            ends[record_field] = (entity, key)
    return ends


def links(values: Mapping[str, object]) -> dict[str, tuple[str, int]]:
    """Return the record that each field points to, of those that point to one."""
    found = linked_ends(values)
    for field, value in values.items():
        record = linked_record(field, value)
        if record is not None:
            found[field] = record
    return found


def related_records(
    entity: str, primary_key: int, *told: Mapping[str, object]
) -> list[tuple[str, int]]:
    """Return the other records that an event's values name, each once, at most ``MAX_RELATED``.

    Who registered and who last updated the record are left out: every event names them.
    """
    found: dict[tuple[str, int], None] = {}
    for values in told:
        for field, record in links(values).items():
            if record != (entity, primary_key) and _spelling(field) not in _STAMPS:
                found[record] = None
    return list(found)[:MAX_RELATED]


def _spelling(field: str) -> str:
    """Return what the spellings of an id field share, whatever stands before a dot.

    "" for what is longer than any id field.
    """
    name = field.rpartition(".")[2]
    return _remembered(name) if len(name) <= _LONGEST_ID else ""


_LONGEST_ID: Final = 64  # characters, so that what is remembered stays small
_remembered: Final = lru_cache(1024)(same_field)  # every event names the same fields
_STAMPS: Final = {same_field("registered_associate_id"), same_field("updated_associate_id")}


def _key(value: object) -> int | None:
    value = decode(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value < 2**63 else None
