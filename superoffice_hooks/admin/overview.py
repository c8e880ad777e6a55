"""The overview above the lists of the app: figures of a period, as charts that lead to the rows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import formats, timezone
from django.utils.html import strip_tags
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from superoffice_hooks.admin.charts import Bars, Column, Columns, Figure, Series, number
from superoffice_hooks.admin.parts import (
    ACTIONS,
    associate_label,
    event_time,
    record_link,
    render_moment,
)
from superoffice_hooks.models import Event
from superoffice_hooks.trail import activity as figures
from superoffice_hooks.trail.activity import (
    MAX_SILENT,
    TICK,
    Activity,
    Arrivals,
    Period,
    midnight,
)
from superoffice_hooks.trail.people import Associate
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for
from superoffice_hooks.wire.catalog import STARTED, STOPPING

DEFAULT_PERIOD = "7d"
PERIODS = {
    "24h": gettext_lazy("24 hours"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
}
MAX_SERIES = 6  # actions with a colour of their own
COLOURS = ("so-c1", "so-c2", "so-c3", "so-c4", "so-c5", "so-c6")
OTHER_COLOUR = "so-c7"
USUAL_COLOURS = {
    "changed": "so-c1",
    "created": "so-c2",
    "softdeleted": "so-c3",
    "deleted": "so-c4",
}
MAX_URL = 2_000  # characters; servers refuse what is much longer

EVENTS = "admin:superoffice_hooks_event_changelist"
DELIVERIES = "admin:superoffice_hooks_delivery_changelist"

Span = tuple[datetime, datetime]


LIMITS = (
    MinValueValidator(date(1970, 1, 1), gettext_lazy("Choose a day from 1970 on.")),
    MaxValueValidator(date(2999, 12, 31), gettext_lazy("Choose a day before the year 3000.")),
)


def _day(label: Any, missing: Any) -> forms.DateField:
    """Return a field for one end of a period, and what it says where it is left out."""
    return forms.DateField(
        label=label,
        input_formats=["%Y-%m-%d"],
        validators=LIMITS,
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
        error_messages={
            "required": missing,
            "invalid": gettext_lazy("This is not a date such as 2026-11-21."),
        },
    )


class PeriodForm(forms.Form):
    """The first and the last day of a period; both are included."""

    after = _day(gettext_lazy("From"), gettext_lazy("Choose the first day."))
    before = _day(gettext_lazy("To, inclusive"), gettext_lazy("Choose the last day."))

    def clean(self) -> None:
        """Refuse a period that ends before it begins."""
        after, before = self.cleaned_data.get("after"), self.cleaned_data.get("before")
        if after and before and before < after:
            self.add_error("before", _("The last day is before the first."))


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return what the overview's template shows; nothing to those who may not view events."""
    if not request.user.has_perm("superoffice_hooks.view_event"):
        return {}
    chosen, period, form = _asked(request)
    found = figures.activity(period, request.user)
    received = (
        figures.arrivals(period, request.user)
        if request.user.has_perm("superoffice_hooks.view_delivery")
        else None
    )
    return {
        "periods": [(label, f"?period={key}", key == chosen) for key, label in PERIODS.items()],
        "form": form,
        "span": span_name((period.begin, period.end)),
        "zone": timezone.get_current_timezone_name(),
        "is_empty": not found.silent,
        "is_scoped": contexts_for(request.user) is not None,
        "webhooks": events_url((period.begin, period.end), action=[*STOPPING, STARTED]),
        "webhook": _webhook(request),
        "events": _events(found) if found.silent else None,
        "deliveries": _deliveries(received)
        if received and (received.total or found.silent)
        else None,
        "silent": [_silent(event) for event in found.silent],
        "max_silent": number(MAX_SILENT) if len(found.silent) == MAX_SILENT else "",
    }


def events_url(span: Span, **filters: Any) -> str:
    """Return the address of the list of the events that occurred in the span."""
    return reverse(EVENTS, query={**filters, **_limits("occurred_at", span)})


def deliveries_url(span: Span, **filters: Any) -> str:
    """Return the address of the list of the deliveries that were received in the span."""
    return reverse(DELIVERIES, query={**filters, **_limits("received_at", span)})


def span_name(span: Span) -> str:
    """Return a span in words: an hour, a day, or from when until when."""
    begin, end = (timezone.localtime(moment) for moment in (span[0], span[1] - TICK))
    starts_a_day = midnight(begin.date()) == span[0]
    if starts_a_day and midnight(end.date() + timedelta(days=1)) == span[1]:
        first, last = (formats.date_format(day, "DATE_FORMAT") for day in (begin, end))
        if first == last:
            return first
        return _("%(first)s to %(last)s") % {"first": first, "last": last}
    return _("%(first)s to %(last)s") % {
        "first": _clock(begin, with_day=True),
        "last": _clock(timezone.localtime(span[1]), with_day=begin.date() != end.date()),
    }


def _asked(request: HttpRequest) -> tuple[str, Period, PeriodForm]:
    """Return the period that the URL asks for, the default one where it cannot be read."""
    if "after" in request.GET or "before" in request.GET:
        form = PeriodForm(request.GET, auto_id="so-period-%s", label_suffix="")
        if form.is_valid():
            period = Period.of_days(form.cleaned_data["after"], form.cleaned_data["before"])
            return "", period, form
        return DEFAULT_PERIOD, _period(DEFAULT_PERIOD), form
    chosen = request.GET.get("period", "")
    chosen = chosen if chosen in PERIODS else DEFAULT_PERIOD
    period = _period(chosen)
    days = {
        "after": timezone.localdate(period.begin),
        "before": timezone.localdate(period.end - TICK),
    }
    return chosen, period, PeriodForm(initial=days, auto_id="so-period-%s", label_suffix="")


def _period(chosen: str) -> Period:
    if chosen == "24h":
        return Period.last_hours(24)
    return Period.last_days(30 if chosen == "30d" else 7)


def _webhook(request: HttpRequest) -> str:
    """Return the address that a first delivery can be posted to."""
    try:
        return request.build_absolute_uri(reverse("superoffice_hooks:webhook"))
    except NoReverseMatch:
        return "URL"


def _events(found: Activity) -> dict[str, Any]:
    span = (found.counted.begin, found.counted.end)
    return {
        "total": Figure(found.total, url=events_url(span)),
        "cut": render_moment(found.counted.begin) if found.is_cut else None,
        "limit": number(figures.MAX_ROWS),
        "by_action": _by_action(found),
        "busiest": _busiest(found, span),
        "delays": _delays(found),
    }


def _by_action(found: Activity) -> Columns:
    totals: Counter[str] = Counter()
    for counts in found.actions:
        totals.update(counts)
    ranked = sorted(totals, key=lambda action: (-totals[action], action))
    # Few are deleted, and everybody asks for them.
    kept = sorted(ranked, key=lambda action: action not in USUAL_COLOURS)[:MAX_SERIES]
    shown = [action for action in ranked if action in kept]
    others = [action for action in ranked if action not in kept]
    groups = [(action_name(action), [action]) for action in shown]
    if others:
        groups.append((_("other"), others))
    whole = (found.counted.begin, found.counted.end)
    buckets = found.counted.buckets
    axis = _axis(found.period)
    return Columns(
        id="so-by-action",
        title=_("Events per hour") if found.period.is_hourly else _per_day(buckets),
        description=_("One column for each span of time, its parts are the actions."),
        caption=_("Events by time and action"),
        heading=_("Time"),
        series=tuple(
            Series(name, colour, _events_figure(name, totals, group, whole))
            for (name, group), colour in zip(groups, _colours(shown), strict=False)
        ),
        columns=tuple(
            _column(span, counts, groups, formats.date_format(timezone.localtime(span[0]), axis))
            for span, counts in zip(buckets, found.actions, strict=True)
        ),
    )


def _axis(period: Period) -> str:
    """Return how a moment is written below the columns, as a format of Django's date filter."""
    if period.is_hourly:
        return "H:i"
    if timezone.localtime(period.begin).year != timezone.localtime(period.end - TICK).year:
        # Translators: a month and its year on the axis of a chart.
        return pgettext("format on an axis", "M Y")
    # Translators: a day and its month on the axis of a chart.
    return pgettext("format on an axis", "j M")


def _per_day(buckets: list[Span]) -> str:
    # The first one may be cut, and the last one short.
    days = max(
        (timezone.localdate(end - TICK) - timezone.localdate(begin)).days + 1
        for begin, end in buckets
    )
    return ngettext("Events per day", "Events per %(days)s days", days) % {"days": days}


def _column(
    span: Span, counts: Mapping[str, int], groups: list[tuple[str, list[str]]], label: str
) -> Column:
    when = span_name(span)
    total = sum(counts.values())
    return Column(
        label=label,
        heading=when,
        parts=tuple(
            _events_figure(
                _("%(when)s, %(action)s") % {"when": when, "action": name}, counts, group, span
            )
            for name, group in groups
        ),
        total=Figure(total, _events_text(when, total), events_url(span)),
    )


def _events_figure(
    name: str, counts: Mapping[str, int], actions: Iterable[str], span: Span
) -> Figure:
    """Return how many events had one of the actions, and the list of them."""
    occurring = [action for action in actions if counts.get(action)]
    count = sum(counts[action] for action in occurring)
    url = events_url(span, action=occurring)
    return Figure(count, _events_text(name, count), url if len(url) <= MAX_URL else "")


def _colours(actions: list[str]) -> list[str]:
    """Return a colour for each action, for the usual ones the same on every day."""
    taken = {USUAL_COLOURS[action] for action in actions if action in USUAL_COLOURS}
    free = [colour for colour in reversed(COLOURS) if colour not in taken]
    return [USUAL_COLOURS.get(action) or free.pop(0) for action in actions] + [OTHER_COLOUR]


def _busiest(found: Activity, span: Span) -> list[Bars]:
    return [
        _bars(
            "entities",
            _("Busiest entities"),
            _("Entity"),
            [
                (entity or _("(empty)"), count, events_url(span, entity=entity))
                for entity, count in found.entities
            ],
        ),
        _bars(
            "associates",
            _("Busiest associates"),
            _("Associate"),
            [
                (
                    name,
                    count,
                    events_url(
                        span,
                        changed_by_associate_id=associate.associate_id,
                        context_identifier=associate.context_identifier,
                    ),
                )
                for name, associate, count in _named(found.associates)
            ],
        ),
        _bars(
            "tenants",
            _("Busiest tenants"),
            _("Tenant"),
            [
                (tenant or _("(empty)"), count, events_url(span, context_identifier=tenant))
                for tenant, count in found.tenants
            ],
        ),
    ]


def _named(
    associates: Iterable[tuple[Associate, int]],
) -> Iterable[tuple[str, Associate, int]]:
    """Yield each associate with a name, and with the tenant where they are not all of one."""
    associates = list(associates)
    several = len({associate.context_identifier for associate, _count in associates}) > 1
    for associate, count in associates:
        name = associate_name(associate)
        if several:
            tenant = associate.context_identifier or _("(empty)")
            name = _("%(name)s, %(tenant)s") % {"name": name, "tenant": tenant}
        yield name, associate, count


def _bars(name: str, title: str, heading: str, rows: Iterable[tuple[str, int, str]]) -> Bars:
    return Bars(
        id=f"so-{name}",
        title=title,
        description=_("One bar for each, the busiest first, at most ten."),
        caption=title,
        heading=heading,
        colour="so-c1",
        figures=[
            (label, Figure(count, _events_text(label, count), url)) for label, count, url in rows
        ],
    )


def _deliveries(found: Arrivals) -> dict[str, Any]:
    span = (found.counted.begin, found.counted.end)
    total = found.total
    return {
        "total": Figure(total, url=deliveries_url(span)),
        "cut": render_moment(found.counted.begin) if found.is_cut else None,
        "limit": number(figures.MAX_ROWS),
        "outcomes": Bars(
            id="so-outcomes",
            title=_("Deliveries by outcome"),
            description=_("One bar for each outcome."),
            caption=_("Deliveries by outcome"),
            heading=_("Outcome"),
            colour="so-c1",
            figures=[
                (
                    str(outcome.label),
                    Figure(
                        count,
                        _deliveries_text(str(outcome.label), count),
                        deliveries_url(span, outcome=outcome.value),
                    ),
                )
                for outcome, count in found.outcomes.items()
            ],
        ),
        "retries": [
            (_retry_name(retry), number(count), _share(count, total))
            for retry, count in found.retries.items()
        ],
    }


def _delays(found: Activity) -> dict[str, Any]:
    delays = found.delays
    longest = delays.longest or timedelta()
    names = [
        _("up to 1 second"),
        _("up to 10 seconds"),
        _("up to 1 minute"),
        _("up to 10 minutes"),
        _("up to 1 hour"),
        _("more than 1 hour"),
    ]
    counts = [*zip(names, (*delays.counts, delays.later), strict=True)]
    if delays.before:
        counts.insert(0, (_("received before it occurred"), delays.before))
    return {
        "rows": [(name, number(count), _share(count, found.total)) for name, count in counts],
        # Where each arrived before it occurred, the longest delay is none.
        "longest": duration_name(longest) if longest >= timedelta() else "",
        "clocks_differ": delays.before > 0,
    }


def _silent(event: Event) -> dict[str, Any]:
    return {
        "tenant": event.context_identifier or _("(empty)"),
        "url": reverse(EVENTS, query={"context_identifier": event.context_identifier}),
        "time": event_time(event),
        "ago": timesince(event.occurred_at),
        "action": action_name(event.action),
        "record": record_link(Record.of(event)),
    }


def action_name(action: str) -> str:
    """Return an action in the reader's language; what is not known as SuperOffice named it."""
    return str(ACTIONS.get(action, action)) or _("(empty)")


def associate_name(associate: Associate) -> str:
    """Return who an associate is, as text without markup."""
    return unescape(strip_tags(associate_label(associate)))


def duration_name(duration: timedelta) -> str:
    """Return a duration in words, below a minute in seconds."""
    if duration < timedelta(minutes=1):
        seconds = formats.number_format(duration.total_seconds(), 1, use_l10n=True)
        return _("%(seconds)s seconds") % {"seconds": seconds}
    now = timezone.now()
    return timesince(now - duration, now)


def _retry_name(retry: int | None) -> str:
    if retry is None:
        return _("not a number")
    return _("retry %(number)s") % {"number": retry} if retry else _("first attempt")


def _events_text(what: str, count: int) -> str:
    text = ngettext("%(what)s: %(count)s event", "%(what)s: %(count)s events", count)
    return text % {"what": what, "count": number(count)}


def _deliveries_text(what: str, count: int) -> str:
    text = ngettext("%(what)s: %(count)s delivery", "%(what)s: %(count)s deliveries", count)
    return text % {"what": what, "count": number(count)}


def _share(count: int, total: int) -> str:
    share = formats.number_format(100 * count / total if total else 0, 1, use_l10n=True)
    return _("%(share)s %%") % {"share": share}


def _limits(field: str, span: Span) -> dict[str, str]:
    """Return the parameters of a list for a span: dates where it is of whole days, or moments."""
    begin, end = span
    first, last = timezone.localdate(begin), timezone.localdate(end - TICK)
    day_after = last + timedelta(days=1)
    return {
        f"{field}_after": first.isoformat() if midnight(first) == begin else _iso(begin),
        f"{field}_before": last.isoformat() if midnight(day_after) == end else _iso(end),
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _clock(moment: datetime, with_day: bool = False) -> str:
    shown = "H:i" if not moment.second and not moment.microsecond else "H:i:s"
    clock = formats.time_format(moment, shown)
    if not with_day:
        return clock
    day = formats.date_format(moment, "DATE_FORMAT")
    return _("%(day)s, %(clock)s") % {"day": day, "clock": clock}
