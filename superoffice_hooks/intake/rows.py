"""How a delivery becomes rows, on every database.

One transaction holds an event, its changed fields and deleted values, and the delivery that
brought them. The unique key of ``Event`` decides what is new. Rows are inserted first, together
with others where the database can, and the event that is there already is asked for only when it
says so: what is neither new nor an exact copy costs a second transaction.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    connections,
    router,
)
from django.views.decorators.debug import sensitive_variables

from superoffice_hooks.exceptions import in_short
from superoffice_hooks.intake.arrival import Arrival
from superoffice_hooks.intake.deadline import Deadline, transaction_within
from superoffice_hooks.intake.derived import (
    changed_fields_of,
    columns_of,
    deleted_values_of,
    related_records_of,
)
from superoffice_hooks.intake.group_commit import group_of
from superoffice_hooks.intake.insert import (
    KEY,
    NewEvent,
    commits_by_itself,
    insert,
    is_light,
    is_possible,
)
from superoffice_hooks.models import (
    ChangedField,
    DeletedValue,
    Delivery,
    Event,
    Outcome,
    RelatedRecord,
)
from superoffice_hooks.wire.body import Flag
from superoffice_hooks.wire.fingerprint import fingerprint
from superoffice_hooks.wire.payload import Payload

logger = logging.getLogger("superoffice_hooks.intake")

Answer = TypeVar("Answer")

_NEITHER: Final = "neither new nor a copy"

AT_ONCE = 1.0  # seconds: what fails later has waited for something, and would wait again
PAUSES = (0.0, 0.05)  # seconds, at most, before the second and the third attempt

# MariaDB's codes for a statement that is larger than its max_allowed_packet: it says so, or it
# hangs up, which can have other causes too.
_PACKET_TOO_LARGE = 1153
_HUNG_UP = (2006, 2013)
_LARGE = 1024 * 1024


class Row:
    """Where a delivery is written, and until when: here into a row of its own.

    A subclass writes into a row that exists already. ``claim`` and ``write`` are called in this
    order, inside the one transaction that stores the delivery and whatever it brings; both are
    called again where that transaction is tried again. Without ``seconds`` the database may
    take as long as the site's own settings let it; the time runs from when it is first asked for,
    because what comes before, as the reading of a large body, is not the database's.
    """

    is_known = False  # whether the delivery was in the database before
    is_plain = True  # whether it may be written together with others': then neither is called
    _seconds: float | None = None
    _deadline: Deadline | None = None

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds

    @property
    def deadline(self) -> Deadline | None:
        """When the database must have committed."""
        if self._seconds is not None and self._deadline is None:
            self._deadline = Deadline.after(self._seconds)
        return self._deadline

    def claim(self, alias: str) -> Delivery | None:
        """Return the delivery if an earlier attempt has stored it already, else ``None``."""
        return None

    @sensitive_variables()
    def write(
        self, arrival: Arrival, outcome: Outcome, reason: str, event: Event | None, alias: str
    ) -> Delivery:
        """Store the delivery, and return it."""
        delivery = Delivery(event=event, **_delivery(arrival, outcome, reason))
        delivery.save(using=alias, force_insert=True)
        return delivery

    def wrote(self, delivery: Delivery, arrival: Arrival) -> bool:
        """Whether this stored delivery is the arrival itself, and only the answer was lost."""
        return (delivery.endpoint, delivery.received_at) == (arrival.endpoint, arrival.received_at)


NEW_ROW: Final = Row()


@sensitive_variables()
def record(arrival: Arrival, payload: Payload, event_id: UUID, row: Row = NEW_ROW) -> Delivery:
    """Store a genuine event with its delivery, and return the delivery as it was stored.

    Its outcome is ``recorded`` for a new event, also for one that tells a change again under
    another key: that is a twin of the first. It is ``duplicate`` where the same key is recorded
    already from the same bytes, or from others that tell the same change, and ``quarantined`` where
    the same key is recorded and tells something else, or the database refuses the values. Raises
    ``django.db.DatabaseError`` when nothing could be stored.
    """
    alias = router.db_for_write(Event)
    new = _new_event(arrival, payload, event_id)
    change = new.event["fingerprint"]

    def insert_alone(twin_of: int | None = None) -> Delivery | str:
        """Return the delivery, or what the database has against these rows."""
        told = {} if twin_of is None else {"fingerprint": None, "twin_of_id": twin_of}
        try:
            return _once_more(alias, lambda: _insert(arrival, new, told, row, alias), row.deadline)
        except DatabaseError as error:
            refusal = _refusal(error, arrival, payload)
            if refusal is None:
                raise
            return refusal

    def known() -> tuple[Event | None, Delivery | None, int | None]:
        """Return the event of this key and what brought it, or who told its change first."""
        with transaction_within(row.deadline, alias):
            events = Event.objects.using(alias).select_related("twin_of")
            event = events.filter(**_key(payload, event_id)).first()
            if event is None:
                return None, None, _first_to_tell(change, alias)
            recorded = event.deliveries.using(alias).filter(outcome=Outcome.RECORDED)
            return event, recorded.first(), None

    stored: Delivery | str | None = None
    is_together = row.is_plain and is_light(arrival.body, payload) and is_possible(alias)
    if is_together:
        stored = _insert_together(new, row, alias)
    # That may have been committed, and only the database's answer lost.
    again = is_together and stored is None
    if stored is None:
        stored = insert_alone()
    twin_of = None
    while not isinstance(stored, Delivery):
        event, first, first_to_tell = _once_more(alias, known, row.deadline)
        if event is not None:
            break
        if stored != _NEITHER and first_to_tell == twin_of:
            reason = f"The database refuses the values ({stored})."
            return keep(arrival, Outcome.QUARANTINED, reason, row=row)
        # As a twin, or as the first, where it was like another of its batch that turned out old.
        twin_of = first_to_tell
        stored = insert_alone(twin_of)
    else:
        return stored
    is_copy = first is not None and bytes(first.body) == arrival.body
    if first is not None and is_copy and row.wrote(first, arrival):
        return first
    # Other bytes may tell the same: two webhooks may send one event under one EventId.
    if is_copy or (change is not None and (event.twin_of or event).fingerprint == change):
        return keep(arrival, Outcome.DUPLICATE, event=event, row=row, again=again)
    reason = "The same EventId, Event, PrimaryKey and ContextIdentifier came before in other bytes."
    return keep(arrival, Outcome.QUARANTINED, reason, event, row)


@sensitive_variables()
def record_together(
    arrivals: Sequence[tuple[Arrival, Payload, UUID]], reason: str, deadline: Deadline
) -> list[Delivery | None]:
    """Store new events and exact copies, by one transaction; ``None`` is for each of the others.

    Each is an arrival, what it says and the id of its event. ``reason`` is what the deliveries are
    given. Only for a database that takes several at once, as ``is_possible`` says. Raises
    ``django.db.DatabaseError`` where it refuses one or all: then none is stored.
    """
    alias = router.db_for_write(Event)
    light = {
        place: _new_event(arrival, payload, event_id, reason)
        for place, (arrival, payload, event_id) in enumerate(arrivals)
        if is_light(arrival.body, payload)
    }
    stored = insert(list(light.values()), alias, deadline) if light else {}
    found = {place: stored.get(number) for number, place in enumerate(light)}
    return [found.get(place) for place in range(len(arrivals))]


def keep(
    arrival: Arrival,
    outcome: Outcome,
    reason: str = "",
    event: Event | None = None,
    row: Row = NEW_ROW,
    *,
    again: bool = False,
) -> Delivery:
    """Store a delivery that brings no new event, and return it.

    ``again`` is for one that may be stored already: an earlier attempt ended without an answer.
    """
    alias = router.db_for_write(Delivery)
    attempts = count(int(again))

    def insert() -> Delivery:
        with transaction_within(row.deadline, alias):
            stored = row.claim(alias)
            if stored is None and next(attempts):
                stored = stored_before(arrival, alias)
                # The first attempt may have been committed, and only the database's answer lost.
                stored = stored if stored is not None and row.wrote(stored, arrival) else None
            return stored or row.write(arrival, outcome, reason, event, alias)

    return _once_more(alias, insert, row.deadline)


@sensitive_variables()
def stored_before(arrival: Arrival, alias: str) -> Delivery | None:
    """Return the delivery if this very arrival is in the database already."""
    rows = Delivery.objects.using(alias).filter(
        received_at=arrival.received_at, endpoint=arrival.endpoint, signature=arrival.signature
    )
    return next((row for row in rows if bytes(row.body) == arrival.body), None)


def _once_more(alias: str, ask: Callable[[], Answer], deadline: Deadline | None) -> Answer:
    """Return what ``ask`` returns, and call it again, twice at most, where it failed at once.

    So a lost connection or a deadlock costs nothing. What has waited in vain for a lock is not
    repeated: SuperOffice waits only seconds.
    """
    started = time.monotonic()
    for pause in PAUSES:
        try:
            return ask()
        except OperationalError as error:
            if _is_late(started, deadline, pause):
                raise
            logger.info("Storing a delivery failed and is tried again: %s", type(error).__name__)
            connections[alias].close_if_unusable_or_obsolete()
            time.sleep(pause * random.random())  # noqa: S311  # so that rivals do not meet again
    return ask()


def _is_late(started: float, deadline: Deadline | None, pause: float = 0.0) -> bool:
    """Whether what has failed now has waited for something, or there is no time left."""
    no_time_left = deadline is not None and deadline.remaining <= pause
    return no_time_left or time.monotonic() - started > AT_ONCE


def _refusal(error: DatabaseError, arrival: Arrival, payload: Payload) -> str | None:
    """Return what the database has against these rows; ``None`` where it is merely away."""
    if isinstance(error, IntegrityError | DataError):
        return type(error).__name__
    code = error.args[0] if error.args else None
    is_large = len(arrival.body) > _LARGE or Flag.ENCODED in payload.flags
    if code == _PACKET_TOO_LARGE or (code in _HUNG_UP and is_large):
        return "larger than max_allowed_packet"
    return None


@sensitive_variables()
def _new_event(arrival: Arrival, payload: Payload, event_id: UUID, reason: str = "") -> NewEvent:
    """Return the rows of an event and its delivery as they are where nobody told it before."""
    event = {
        **_key(payload, event_id),
        **columns_of(payload),
        "received_at": arrival.received_at,
        "fingerprint": fingerprint(payload),
        "twin_of_id": None,
    }
    return NewEvent(payload, event, _delivery(arrival, Outcome.RECORDED, reason))


@sensitive_variables()
def _insert_together(new: NewEvent, row: Row, alias: str) -> Delivery | str | None:
    """Return the delivery, or ``_NEITHER``; ``None`` where it has to be written alone."""
    started = time.monotonic()
    try:
        if not commits_by_itself(connections[alias]):
            # A test's transaction, or somebody's: what others bring does not belong there.
            return insert([new], alias, row.deadline).get(0, _NEITHER)
        return group_of(alias).insert(new, row.deadline) or _NEITHER
    except DatabaseError as error:
        late = row.deadline.remaining <= 0 if row.deadline else _is_late(started, None)
        if late and isinstance(error, OperationalError):
            raise
        cause = error.__cause__ or error
        if not isinstance(cause, DatabaseError):
            logger.exception("Deliveries cannot be stored together, but one by one.")
        else:
            # One of several may be to blame for all.
            usual = OperationalError | DataError | IntegrityError
            is_usual = cause is error or isinstance(cause, usual)
            logger.log(
                logging.INFO if is_usual else logging.WARNING,
                "Storing deliveries together failed, each is stored alone: %s",
                in_short(cause),
            )
        if not connections[alias].in_atomic_block:
            connections[alias].close_if_unusable_or_obsolete()
        return None


@sensitive_variables()
def _insert(
    arrival: Arrival, new: NewEvent, told: dict[str, Any], row: Row, alias: str
) -> Delivery:
    """Store everything in one transaction, or nothing.

    ``told`` is what differs where the event is a twin.
    """
    with transaction_within(row.deadline, alias):
        stored = row.claim(alias)
        if stored is not None:
            return stored
        payload, event = new.payload, Event(**{**new.event, **told})
        event.save(using=alias, force_insert=True)
        ChangedField.objects.using(alias).bulk_create(changed_fields_of(payload, event))
        DeletedValue.objects.using(alias).bulk_create(deleted_values_of(payload, event))
        RelatedRecord.objects.using(alias).bulk_create(related_records_of(payload, event))
        return row.write(arrival, Outcome.RECORDED, "", event, alias)


def _delivery(arrival: Arrival, outcome: Outcome, reason: str) -> dict[str, Any]:
    """Return the columns of a delivery's row, but for its event."""
    return {
        "endpoint": arrival.endpoint,
        "received_at": arrival.received_at,
        "outcome": outcome,
        "reason": reason,
        "signature": arrival.signature,
        "key_id": arrival.key_id,
        "remote_address": arrival.remote_address,
        "headers": arrival.headers,
        "body": arrival.body,
    }


def _first_to_tell(change: UUID | None, alias: str) -> int | None:
    """Return the id of the event that told this change first, if one did."""
    if change is None:
        return None
    found = Event.objects.using(alias).filter(fingerprint=change).order_by()
    return found.values_list("pk", flat=True).first()


def _key(payload: Payload, event_id: UUID) -> dict[str, Any]:
    values = event_id, payload.context_identifier, payload.name, payload.primary_key
    return dict(zip(KEY, values, strict=True))
