"""What is known of SuperOffice's entities: their actions, table numbers and id fields.

Data that helps to display and to link. It is never a gate: an entity or action that is not here
is recorded like any other.

Source: SuperOffice documentation, the reference pages of webhook events and the database tables.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entity:
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


BOOKKEEPING: Final = frozenset(
    (
        "updated",
        "updatedCount",
        "updated_associate_id",
        "registered",
        "registered_associate_id",
        "last_changed",
        "soundEx",
    )
)


def is_bookkeeping(entity: str, field: str) -> bool:
    """Whether SuperOffice itself keeps this field: a stamp, a counter, or the record's own key."""
    known = ENTITIES.get(entity)
    return (
        field in BOOKKEEPING
        or field.startswith("dbi_")
        or (known is not None and field == known.key)
    )


def linked_record(field: str, value: object) -> tuple[str, int] | None:
    """Return the entity and primary key that an id field points to, or ``None``.

    An id of 0 or -1 means none.
    """
    entity = ENTITY_OF_FIELD.get(field)
    if entity is None or not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    return entity, value
