"""The week itself: a story that meets each kind of event once, then ordinary traffic.

The one change that no event names is meant: it is lost while the webhook is off, and the trail
has a gap to show.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from superoffice_hooks.samples.crm import HOUR, Clock, Sample, Tenant
from superoffice_hooks.samples.kinds import TRAFFIC

EPILOGUE = """person.consented person.changed sale.created sale.sold sale.completed ticket.created
    ticket.changed activity.created project.created document.created document.edited
    list.category.changed y_car.deleted"""


def week(
    events: int,
    seed: int,
    until: datetime,
    contexts: Sequence[str] = ("Cust10117", "Cust20455"),
) -> Iterator[Sample]:
    """Yield exactly ``events`` deliveries of the seven days before ``until``, the test event first.

    ``until`` without a zone is UTC. The story happens at the first tenant of ``contexts``. Another
    ``until`` gives other instants and EventIds, but the same events of the same records.
    """
    until = (until if until.tzinfo else until.replace(tzinfo=UTC)).astimezone(UTC)
    rng = random.Random(seed)  # noqa: S311  # nothing here is a secret
    ids = random.Random(f"{seed} {until.isoformat()}")  # noqa: S311
    clock = Clock(ids, events, until)
    tenants = [Tenant(context, clock, rng, ids) for context in contexts]
    deliveries = chain(story(tenants[0]), traffic(tenants, rng))
    for clock.position in range(events):
        yield next(deliveries)


def story(crm: Tenant) -> Iterator[Sample]:
    """Yield one of everything: renamed, retried, unreadable, related, lost, binned and deleted."""
    anna, bo, siv, *_ = crm.associates
    yield crm.send("test", 0, anna)
    yield crm.create("contact", anna, name="Tåkeheimen Verktøylån AS")
    yield crm.create("person", anna, title="Innkjøpssjef")
    yield crm.create("sale", bo, heading="Rammeavtale vår", amount=120_000, probability_idx=2)
    [company], [person], [sale] = (crm.live[entity] for entity in ("contact", "person", "sale"))
    renamed = crm.change(company, bo, name="Tåkeheimen Utleie AS", department="")
    yield renamed
    yield _retried(renamed)
    broken = crm.change(person, siv, lastname="")
    yield replace(broken, body=broken.body.replace(b",", b"", 1))  # no JSON any more
    yield crm.change(sale, siv, amount=145_000, probability_idx=4)
    yield crm.create("contact", siv, name="Tåkeheimen Utlaige AS")
    double = crm.live["contact"][-1]
    ends = {"source_record": double.key, "destination_table": 5, "destination_record": company.key}
    yield crm.create("relation", siv, **ends)
    yield crm.change(company, siv, name="Tåkeheimen Utleie Gruppen AS")

    crm.clock.silence(2 * HOUR)
    yield crm.send("webhook7.errors", 7, 0)
    company.state["category_idx"] = 1 + int(company.state["category_idx"]) % 6  # never delivered
    yield crm.send("webhook7.started", 7, 0)
    yield crm.change(company, anna, number1="")

    yield crm.delete(sale, bo)
    yield crm.delete(crm.live["relation"][0], siv)
    yield crm.bury(double, siv)
    yield crm.delete(double, siv)
    nameless = crm.change(person, anna, lastname="")
    yield replace(nameless, body=nameless.body.replace(b'"Event":"person.changed",', b""))
    yield crm.create("y_car", bo, x_mileage=41_500)
    yield crm.change(crm.live["y_car"][0], bo, x_mileage=42_000)
    for event in EPILOGUE.split():
        yield crm.act(event, anna)


def traffic(tenants: Sequence[Tenant], rng: random.Random) -> Iterator[Sample]:
    """Yield ordinary days without end; now and then a delivery is posted once more."""
    while True:
        crm = rng.choice(tenants)
        [event] = rng.choices(tuple(TRAFFIC), tuple(TRAFFIC.values()))
        sample = crm.act(event, rng.choice(crm.associates))
        yield sample
        if rng.random() < 0.006:
            yield _retried(sample)


def _retried(sample: Sample) -> Sample:
    return replace(sample, headers=sample.headers | {"X-SuperOffice-Retry": "1"})
