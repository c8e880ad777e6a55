"""What a pasted text looks for."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from superoffice_hooks.models import ChangedField
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail import facets
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for, events_for
from superoffice_hooks.wire.catalog import linked_record

MAX_LENGTH: Final = 255  # of every column that is searched

_NUMBER = r"-?[0-9]{1,19}"
_RECORD: Final = (
    rf"(?:(?P<context>[^\s:/=]+)\s*[:/\s]\s*)??(?P<word>[^\s:/=]+)\s*[:/=\s]\s*(?P<key>{_NUMBER})"
)


class Kind(StrEnum):
    """What a text was read as. Those that are one column of Event have its name."""

    GUID = "event_id"
    NUMBER = "primary_key"
    RECORD = "record"
    CONTEXT = "context_identifier"
    NAME = "name"
    ENTITY = "entity"
    ACTION = "action"
    WEBHOOK = "webhook_name"
    FIELD = "changed_field"


# A word is read as the first of these that knows it.
_WORDS: Final = (Kind.CONTEXT, Kind.NAME, Kind.ENTITY, Kind.ACTION, Kind.WEBHOOK)


class Reading(NamedTuple):
    """What a text was read as: ``value`` is how a person writes that.

    ``record`` is the one record of one tenant that has all the events, where there is one.
    """

    kind: Kind
    value: str
    conditions: dict[str, Any]
    record: Record | None = None

    def select(self, events: Any) -> Any:
        """Keep the events that the text looks for."""
        if self.kind is Kind.FIELD:
            return events.changing(self.value)
        return events.filter(**self.conditions)


def read(text: str, user: Any) -> Reading | None:
    """Return what the text looks for in the events that the user may see.

    ``None`` where it is nothing that an index could find: a search through text would read every
    event. What a word means is found out by a few probes of an index each.
    """
    text = text.strip("\"',; \t\r\n")
    if not text or len(text) > MAX_LENGTH or "\0" in text:
        return None
    events = events_for(user).order_by()
    return _guid(text) or _number(text, events) or _record(text, events) or _word(text, user)


def _guid(text: str) -> Reading | None:
    digits = re.sub(r"urn:|uuid:|[{}()\"'-]", "", text.lower())
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        return None
    guid = UUID(digits)
    return Reading(Kind.GUID, str(guid), {"event_id": guid})


def _number(text: str, events: EventQuerySet) -> Reading | None:
    if not re.fullmatch(_NUMBER, text) or (key := _key(text)) is None:
        return None
    conditions = {"primary_key": key}
    return Reading(Kind.NUMBER, str(key), conditions, _only_record(events, conditions))


def _record(text: str, events: EventQuerySet) -> Reading | None:
    """Read ``contact:994863`` and the like, ``contact_id=994863`` too."""
    found = re.fullmatch(_RECORD, text)
    if found is None or (key := _key(found["key"])) is None:
        return None
    tenant = {"context_identifier": found["context"]} if found["context"] is not None else {}
    for conditions in _records(found["word"], key):
        if events.filter(**conditions, **tenant).exists():
            break
    else:
        conditions = {"entity": found["word"], "primary_key": key}
    conditions |= tenant
    value = f"{conditions.get('entity') or conditions['name']} {key}"
    return Reading(Kind.RECORD, value, conditions, _only_record(events, conditions))


def _records(word: str, key: int) -> Iterator[dict[str, Any]]:
    """Yield what the word before a primary key may be: an entity, its id field, an event."""
    yield {"entity": word, "primary_key": key}
    yield {"entity": word.lower(), "primary_key": key}
    if (linked := linked_record(word, key)) is not None:
        yield {"entity": linked[0], "primary_key": key}
    yield {"name": word, "primary_key": key}


def _only_record(events: EventQuerySet, conditions: dict[str, Any]) -> Record | None:
    """Return the one record of these events, by the two ends of its index."""
    found = events.filter(**conditions).order_by("entity", "context_identifier")
    columns = found.values_list("context_identifier", "entity", "primary_key")
    first = columns.first()
    return Record(*first) if first is not None and first == columns.last() else None


def _word(text: str, user: Any) -> Reading | None:
    events = events_for(user).order_by()
    for kind in _WORDS:
        if events.filter(**{kind: text}).exists():
            return Reading(kind, text, {kind: text})
    if _is_field(text, events):
        return Reading(Kind.FIELD, text, {})
    return _word_in_other_case(text, user)


def _word_in_other_case(text: str, user: Any) -> Reading | None:
    contexts = contexts_for(user)
    for kind in _WORDS:
        if kind is Kind.NAME:
            known = [text.lower()] if events_for(user).filter(name=text.lower()).exists() else []
        else:
            known = facets.choices(kind, contexts)
        if found := _alike(text, known):
            return Reading(kind, ", ".join(found), {f"{kind}__in": found})
    if contexts is None and (found := _alike(text, facets.field_names())):
        return Reading(Kind.FIELD, found[0], {})
    return None


def _alike(text: str, known: list[str]) -> list[str]:
    return [value for value in known if value.casefold() == text.casefold()]


def _is_field(text: str, events: EventQuerySet) -> bool:
    # The first probe is of the field's own index, so that the second is made for fields only.
    return ChangedField.objects.filter(name=text).exists() and events.changing(text).exists()


def _key(digits: str) -> int | None:
    key = int(digits)
    return key if -(2**63) <= key < 2**63 else None
