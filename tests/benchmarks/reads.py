"""How long a page takes, in process, whole and within the database, on a trail of any size.

Every page of the admin and every filter of the API is asked for a few times by a superuser. The
same of a smaller trail can be compared: a page that costs more on a larger one has no index.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import combinations
from statistics import median
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.bodies import BUSY, ENTITIES, TENANTS, WEBHOOKS

LISTED = 50  # events on a page of the admin
DEEPEST = 5_000  # events that the admin pages through
AUDITLOG_ROWS = 1_000_000
RARE_ENTITY, COMMON_ENTITY = ENTITIES[-1], ENTITIES[0]
RARE_TENANT, COMMON_TENANT = TENANTS[-1], TENANTS[0]
BUSIEST = {
    "context_identifier": COMMON_TENANT,
    "entity": COMMON_ENTITY,
    "primary_key": str(BUSY),
}


@dataclass(frozen=True, slots=True)
class Page:
    """What one page took: seconds of the whole, and of these within the database."""

    name: str
    status: int
    whole: tuple[float, ...]
    within: tuple[float, ...]
    queries: int

    def at(self, share: float) -> float:
        """Return the seconds within which this share of the whole pages was there."""
        ordered = sorted(self.whole)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Watch:
    """Counts the statements of this connection, and their seconds."""

    def __init__(self) -> None:
        self.seconds, self.queries = 0.0, 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.queries += 1
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += time.perf_counter() - began


def measure(samples: int, pages: Mapping[str, str]) -> list[Page]:
    """Ask for each page so many times, after once that does not count."""
    from django.test import Client

    client = Client()
    client.force_login(_superuser())
    return [_measured(client, name, url, samples) for name, url in pages.items()]


def _measured(client: Any, name: str, url: str, samples: int) -> Page:
    whole, within, queries = [], [], 0
    status = client.get(url).status_code
    for _ in range(samples):
        with _watched() as watch:
            began = time.perf_counter()
            answer = client.get(url)
            whole.append(time.perf_counter() - began)
        within.append(watch.seconds)
        queries = max(queries, watch.queries)
        if answer.status_code != 200:
            status = answer.status_code
    return Page(name, status, tuple(whole), tuple(within), queries)


@contextmanager
def _watched() -> Iterator[Watch]:
    from django.db import connection

    watch = Watch()
    with connection.execute_wrapper(watch):
        yield watch


def _superuser() -> Any:
    from django.contrib.auth import get_user_model

    user, _ = get_user_model().objects.get_or_create(
        username="benchmark", defaults={"is_staff": True, "is_superuser": True}
    )
    return user


def admin_pages() -> dict[str, str]:
    """Return the pages of the admin by name."""
    from django.urls import reverse

    from superoffice_hooks.models import Delivery, Event

    event = Event.objects.filter(**BUSIEST).latest("pk")
    delivery = Delivery.objects.filter(event=event).latest("pk")
    deepest = min(DEEPEST, Event.objects.once()[:DEEPEST].count())
    last = max(1, deepest // LISTED)
    events = "admin:superoffice_hooks_event_changelist"
    deliveries = "admin:superoffice_hooks_delivery_changelist"
    filters = _admin_filters()
    lists: dict[str, dict[str, Any]] = {
        "events": {},
        "events, deepest page": {"p": last},
        "events, oldest first": {"o": "0"},
        **{f"events by {name}": query for name, query in filters.items()},
        "events, search for a number": {"q": _rare_number()},
        "events, search for the busiest number": {"q": BUSY},
        "events, search for a record": {"q": f"{COMMON_ENTITY}:{BUSY}"},
        "events, search for an id": {"q": event.event_id},
        "events, search for nothing that is": {"q": "987654321987"},
    }
    week = (event.occurred_at - timedelta(days=7)).date().isoformat()
    return {
        **{name: reverse(events, query=query) for name, query in lists.items()},
        "event": reverse("admin:superoffice_hooks_event_change", args=[event.pk]),
        "record, the busiest": reverse("admin:superoffice_hooks_event_record", query=BUSIEST),
        "related, the busiest": reverse("admin:superoffice_hooks_event_related", query=BUSIEST),
        "related, a company": reverse(
            "admin:superoffice_hooks_event_related", query=_related_record()
        ),
        "overview": reverse("admin:app_list", args=["superoffice_hooks"]),
        "overview of 30 days": reverse(
            "admin:app_list", args=["superoffice_hooks"], query={"period": "30d"}
        ),
        "deliveries": reverse(deliveries),
        "deliveries, deepest page": reverse(deliveries, query={"p": last}),
        "deliveries by outcome": reverse(deliveries, query={"outcome": "recorded"}),
        "deliveries by rare outcome": reverse(deliveries, query={"outcome": "quarantined"}),
        "deliveries by time": reverse(deliveries, query={"received_at_after": week}),
        "delivery": reverse("admin:superoffice_hooks_delivery_change", args=[delivery.pk]),
    }


def _admin_filters() -> dict[str, dict[str, Any]]:
    """Return what the filters beside the list of events are asked, by name."""
    week = (_newest() - timedelta(days=7)).date().isoformat()
    return {
        "time": {"occurred_at_after": week},
        "entity": {"entity": COMMON_ENTITY},
        "rare entity": {"entity": RARE_ENTITY},
        "action": {"action": "changed"},
        "rare action": {"action": "deleted"},
        "changed field": {"changed_field": "name"},
        "changed field of all": {"changed_field": "updated"},
        "associate": {"changed_by_associate_id": 0},
        "rare associate": {"changed_by_associate_id": 399},
        "tenant": {"context_identifier": COMMON_TENANT},
        "rare tenant": {"context_identifier": RARE_TENANT},
        "webhook": {"webhook_name": WEBHOOKS[0]},
        "rare webhook": {"webhook_name": WEBHOOKS[1]},
    }


def pairs() -> dict[str, str]:
    """Return the lists of events by every two filters that differ in what they ask."""
    from django.urls import reverse

    return {
        f"events by {one} and {other}": reverse(
            "admin:superoffice_hooks_event_changelist", query=first | second
        )
        for (one, first), (other, second) in combinations(_admin_filters().items(), 2)
        if not first.keys() & second.keys()
    }


def slowest(pages: Iterable[Page]) -> str:
    """Return the name of the slowest of several pages."""
    return max(pages, key=lambda page: median(page.whole)).name


def api_pages() -> dict[str, str]:
    """Return what the API answers by name: every filter that it declares is asked once."""
    from django.urls import reverse

    from superoffice_hooks.api.filters import DeliveryFilter, EventFilter
    from superoffice_hooks.models import Event

    event = Event.objects.filter(**BUSIEST).latest("pk")
    values = _api_values(event)
    events, deliveries = (
        reverse(f"superoffice_hooks:{name}-list") for name in ("event", "delivery")
    )
    found = {"api events": events, "api deliveries": deliveries}
    asked = (
        ("events", events, EventFilter, values),
        ("deliveries", deliveries, DeliveryFilter, {**values, "ordering": "received_at"}),
    )
    for rows, url, filters, known in asked:
        found |= {
            f"api {rows} by {name}": f"{url}?{name}={known[name]}"
            for name in filters.base_filters
            if name in known
        }
    moment = f"{_newest() - timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}"
    half = Event.objects.latest("pk").pk // 2
    return {
        **found,
        "api events, deep": f"{events}?cursor={moment}_{half}",
        "api event": reverse("superoffice_hooks:event-detail", args=[event.pk]),
        "api follow": f"{reverse('superoffice_hooks:follow')}?cursor={half}",
        "api record, the busiest": reverse("superoffice_hooks:record", kwargs=BUSIEST),
        "api related, a company": reverse("superoffice_hooks:related", kwargs=_related_record()),
        "api summary": f"{reverse('superoffice_hooks:summary')}"
        f"?occurred_at_before={_newest():%Y-%m-%dT%H:%M:%SZ}",
        "api summary of a tenant": f"{reverse('superoffice_hooks:summary')}"
        f"?occurred_at_before={_newest():%Y-%m-%dT%H:%M:%SZ}&context_identifier={COMMON_TENANT}",
    }


def unasked() -> list[str]:
    """Return the filters of the API for which there is no value here."""
    from superoffice_hooks.api.filters import DeliveryFilter, EventFilter
    from superoffice_hooks.models import Event

    known = _api_values(Event.objects.latest("pk"))
    return sorted({*EventFilter.base_filters, *DeliveryFilter.base_filters} - known.keys())


def _api_values(event: Any) -> dict[str, Any]:
    """Return a value for each filter of the API."""
    week = f"{_newest() - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    company = _related_record()["primary_key"]
    return {
        "context_identifier": COMMON_TENANT,
        "context_identifier__in": f"{COMMON_TENANT},{RARE_TENANT}",
        "entity": COMMON_ENTITY,
        "entity__in": f"{COMMON_ENTITY},{RARE_ENTITY}",
        "action": "changed",
        "action__in": "deleted,created",
        "name": f"{COMMON_ENTITY}.changed",
        "name__in": f"{COMMON_ENTITY}.changed,{RARE_ENTITY}.deleted",
        "primary_key": BUSY,
        "changed_by_associate_id": 0,
        "webhook_name": WEBHOOKS[1],
        "event_id": event.event_id,
        "occurred_at_after": week,
        "occurred_at_before": week,
        "received_at_after": week,
        "received_at_before": week,
        "changed_field": "name",
        "deleted_value": f"contact_id:{company}",
        "field_value": f"contact_id:{company}",
        "is_twin": "false",
        "ordering": "occurred_at",
        "outcome": "recorded",
        "event": event.pk,
    }


def _newest() -> Any:
    from superoffice_hooks.models import Event

    return Event.objects.latest("occurred_at").occurred_at


def _rare_number() -> int:
    from superoffice_hooks.models import Event

    return int(Event.objects.exclude(primary_key=BUSY).latest("pk").primary_key)


def _related_record() -> dict[str, str]:
    """Return a company that other records name."""
    from superoffice_hooks.models import RelatedRecord

    named = RelatedRecord.objects.filter(entity="contact").order_by("-event_id").first()
    assert named is not None
    return {
        "context_identifier": named.context_identifier,
        "entity": named.entity,
        "primary_key": str(named.primary_key),
    }


def auditlog_pages() -> dict[str, str]:
    """Return the pages of django-auditlog's admin, on a million entries of its own."""
    from auditlog.models import LogEntry
    from django.urls import reverse

    if not LogEntry.objects.exists():
        _fill_auditlog()
    url = reverse("admin:auditlog_logentry_changelist")
    return {
        "auditlog": url,
        "auditlog, page 100": f"{url}?p=100",
        "auditlog by action": f"{url}?action=1",
        "auditlog, search": f"{url}?q=4711",
    }


def _fill_auditlog() -> None:
    """Multiply one entry that django-auditlog itself has written."""
    from auditlog.models import LogEntry
    from django.db import connection

    from tests.benchmarks.peers.models import AuditedBlob

    AuditedBlob.objects.create(body={"name": "Fjordbygg AS", "contact_id": BUSY})
    quote = connection.ops.quote_name
    made = {
        field.column: {
            "object_pk": "n::text",
            "object_id": "n",
            "timestamp": "timestamp - n * interval '1 minute'",
        }.get(field.column, quote(field.column))
        for field in LogEntry._meta.concrete_fields
        if field is not LogEntry._meta.pk
    }
    table = quote(LogEntry._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(map(quote, made))}) SELECT {', '.join(made.values())}"
            f" FROM {table}, generate_series(1, {AUDITLOG_ROWS - 1}) AS copy(n)"
        )
        cursor.execute(f"VACUUM ANALYZE {table}")


def figures(events: int, pages: Sequence[Page]) -> dict[str, Any]:
    """Return the pages as they are written to a file."""
    return {"events": events, "pages": [asdict(page) for page in pages]}


def shown(events: int, pages: Sequence[Page], against: Mapping[str, Any] | None) -> str:
    """Return the table; ``against`` are the figures of an earlier run."""
    earlier = {page["name"]: median(page["whole"]) for page in (against or {}).get("pages", ())}
    heading = ["page", "p50 ms", "p95 ms", "max ms", "database ms", "queries"]
    if against is not None:
        heading.append(f"to {against['events']:,}")
    rows = []
    for page in pages:
        name = page.name if page.status == 200 else f"{page.name} (answered {page.status})"
        row = [
            name,
            *(report.milliseconds(page.at(share)) for share in (0.5, 0.95, 1.0)),
            report.milliseconds(median(page.within)),
            page.queries,
        ]
        if against is not None:
            row.append(report.ratio(median(page.whole), earlier.get(page.name)))
        rows.append(row)
    return report.table(f"reads: {events:,} events", heading, rows)
