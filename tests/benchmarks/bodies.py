"""The deliveries that are measured with: any number, no two alike, made again from a seed.

Of ten, seven are ``changed`` with 6 names and 13 values, two ``created`` with 30 names and 13
values, one ``deleted`` with 4 values; a body has about 715 bytes. The tenants and the entities are
skewed as those of real installations are, and one record is far busier than any other.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from superoffice_hooks.wire.signature import sign

ENTITIES = (
    *("contact", "person", "sale", "activity", "ticket", "document", "project", "relation"),
    *("associate", "projectmember", "salestakeholder", "chatsession", "quote"),
    *(f"y_{name}" for name in ("car", "asset", "lease", "visit", "site", "meter", "claim")),
    *(f"list.{name}" for name in ("category", "business", "country", "title", "source", "rank")),
    *("selection", "appointmentmember", "address", "phone"),
)
TENANTS = tuple(f"Cust{20_000 + 37 * number}" for number in range(200))
ACTIONS = {"changed": 70, "created": 20, "deleted": 10}
NUMBERS = 200_000  # records of one entity of one tenant
BUSY = 4711  # the number of the busiest record, which is of the first tenant and entity
BUSY_EVERY = 200
ASSOCIATES = 400
WEBHOOKS = ("Audit trail", "Audit trail (service)")

SYLLABLES = ("fjord", "skog", "bygg", "sol", "vind", "stein", "kraft", "havn", "lys", "måne", "ås")
FORMS = ("AS", "AB", "ApS", "GmbH", "BV")
# Fields that an event may name as changed; the last three SuperOffice itself keeps.
FIELDS = (
    *("name", "department", "orgNr", "business_idx", "category_idx", "country_id", "number1"),
    *("number2", "source", "xstop", "nomailing", "associate_id", "activeInterests", "text_id"),
    *("postal_address", "street_address", "zip_code", "city", "state", "county", "phone", "fax"),
    *("email", "url", "userdef_id", "userdef2_id", "deleted_date"),
    *("updated", "updated_associate_id", "updatedCount"),
)
STAMPS = FIELDS[-3:]
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


class Body(NamedTuple):
    """One delivery: its bytes, and what its headers say of it."""

    raw: bytes
    event_id: str
    name: str

    def headers(self, secret: str) -> dict[str, str]:
        """Return the headers that SuperOffice sends with it."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "X-SuperOffice-Event": self.name,
            "X-SuperOffice-EventId": self.event_id,
            "X-SuperOffice-Signature": sign(self.raw, secret),
        }


@dataclass
class Bodies:
    """Deliveries by number, from ``begin`` on, ``step`` apart.

    With ``templates`` their values repeat after so many; id, time and record never do.
    """

    seed: int = 0
    begin: datetime = BEGIN
    step: timedelta = timedelta(seconds=1)
    templates: int = 0

    def first(self, count: int, start: int = 0) -> Iterator[Body]:
        """Yield so many, from the number ``start`` on."""
        return (self[number] for number in range(start, start + count))

    def __getitem__(self, number: int) -> Body:
        drawn = Random(f"{self.seed} {number}")
        event_id = str(UUID(int=drawn.getrandbits(128), version=4))
        told = dict(self._shapes[number % self.templates] if self.templates else self._shape(drawn))
        told["EventId"] = event_id
        told["Timestamp"] = f"{self.begin + self.step * number:%Y-%m-%dT%H:%M:%S.%f}{number % 10}Z"
        told["PrimaryKey"] = drawn.randrange(1, NUMBERS)
        if number % BUSY_EVERY == 0:
            told |= {"PrimaryKey": BUSY, "Entity": ENTITIES[0], "ContextIdentifier": TENANTS[0]}
            told["Event"] = f"{ENTITIES[0]}.{told['Event'].rpartition('.')[2]}"
        raw = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        return Body(raw, event_id, told["Event"])

    @cached_property
    def _shapes(self) -> list[dict[str, Any]]:
        return [self._shape(Random(f"{self.seed} shape {n}")) for n in range(self.templates)]

    def _shape(self, drawn: Random) -> dict[str, Any]:
        """Return a body with values of its own."""
        [entity] = drawn.choices(ENTITIES, cum_weights=_BY_ENTITY)
        [tenant] = drawn.choices(TENANTS, cum_weights=_BY_TENANT)
        [action] = drawn.choices([*ACTIONS], [*ACTIONS.values()])
        told: dict[str, Any] = {
            "EventId": "",
            "Timestamp": "",
            "Changes": [],
            "Event": f"{entity}.{action}",
            "PrimaryKey": 0,
            "Entity": entity,
            "ContextIdentifier": tenant,
            "ChangedByAssociateId": int(ASSOCIATES * drawn.random() ** 2),
            "WebhookName": WEBHOOKS[drawn.random() < 0.1],
        }
        if action == "deleted":
            return told | {"Values": _ids(drawn)}
        told["Changes"] = list(FIELDS)
        if action == "changed":
            told["Changes"] = [*drawn.sample(FIELDS[:-3], 3), *STAMPS]
        return told | {"FieldValues": _snapshot(drawn)}


def _ids(drawn: Random) -> dict[str, Any]:
    return {
        "contact_id": drawn.randrange(1, NUMBERS),
        "person_id": drawn.randrange(1, NUMBERS),
        "project_id": 0,
        "associate_id": drawn.randrange(1, ASSOCIATES),
    }


def _snapshot(drawn: Random) -> dict[str, Any]:
    """Return 13 values."""
    words = drawn.choices(SYLLABLES, k=22)
    return _ids(drawn) | {
        "name": f"{''.join(words[:3])} {''.join(words[3:6])} {drawn.choice(FORMS)}",
        "orgNr": str(drawn.randrange(800_000_000, 999_999_999)),
        "department": f"{' '.join(words[6:])} {drawn.randrange(1_000)}",
        "business_idx": drawn.randrange(20),
        "category_idx": drawn.randrange(8),
        "country_id": drawn.choice((578, 752, 208, 276, 528)),
        "number1": f"{drawn.randrange(10**8):08}",
        "activeInterests": drawn.randrange(5),
        "updatedCount": drawn.randrange(1, 400),
    }


def _skewed(count: int) -> list[float]:
    """Return weights that add up: each has as many as the first, divided by its place."""
    return list(accumulate(1 / place for place in range(1, count + 1)))


_BY_ENTITY = _skewed(len(ENTITIES))
_BY_TENANT = _skewed(len(TENANTS))
