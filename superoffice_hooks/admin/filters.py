"""The filters beside the lists: plain links and small forms, without script.

A filter that cannot read what stands in its parameters names them, and then lists nothing: a list
that passed over a question would look like its answer.
"""

import re
from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.trail.facets import choices, field_names
from superoffice_hooks.trail.scope import contexts_for


class TrailFilter(admin.ListFilter):
    """A filter that knows its own parameters, and says what is wrong with them."""

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.given: dict[str, list[str]] = {
            name: params.pop(name, []) for name in self.parameters()
        }
        self.problems: dict[str, str] = {}
        for name, values in self.given.items():
            for value in values:
                if "\0" in value:
                    self.refuse(name, value, gettext("“%(value)s” holds a null character."))

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the names of the parameters in the URL, which no white list need name again."""
        raise NotImplementedError

    def expected_parameters(self) -> list[str | None]:
        """Return the names of the parameters, as Django asks for them."""
        return [*self.parameters()]

    def has_output(self) -> bool:
        """Offer the filter: Django does not apply one that offers nothing."""
        return True

    @property
    def others(self) -> list[tuple[str, str]]:
        """What else stands in the URL, which the filter's form keeps."""
        own = (*self.parameters(), PAGE_VAR, ERROR_FLAG)
        return [
            (name, value)
            for name, values in self.request.GET.lists()
            if name not in own
            for value in values
        ]

    def only(self, name: str) -> str:
        """Return the value of a parameter that may be given once; an empty form field is none."""
        values = [value.strip() for value in self.given[name] if value.strip()]
        if len(values) > 1:
            self.refuse(name, ", ".join(values), gettext("Only one value can be given."))
        return values[0] if values and name not in self.problems else ""

    def refuse(self, name: str, value: str, reason: str) -> None:
        """Note why the value of a parameter cannot be used; ``%(value)s`` stands for it."""
        text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        self.problems[name] = reason % {"value": Truncator(text).chars(40)}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows that are asked for, none where that is not understood."""
        kept: QuerySet[Any] = queryset.none() if self.problems else self.narrow(queryset)
        return kept

    def narrow(self, queryset: Any) -> Any:
        """Keep the rows that are asked for."""
        raise NotImplementedError


class ChoiceFilter(TrailFilter):
    """Filters by the values of one column; a repeated parameter keeps the rows with any of them.

    An empty value is a value. What is asked for stands among the choices, offered or not.
    """

    parameter_name: ClassVar[str]

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = dict.fromkeys(self.given[self.parameter_name])
        self.values = [value for value in given if "\0" not in value]
        self.labels = {value: str(label) for value, label in self.lookups(request, model_admin)}

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the name of the one parameter."""
        return (cls.parameter_name,)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices: values and how they are called."""
        raise NotImplementedError

    def combinations(self) -> list[list[str]]:
        """Return choices of several values at once."""
        return []

    def has_output(self) -> bool:
        """Offer the filter where there is something to choose or to undo."""
        return bool(self.labels or self.values)

    def narrow(self, queryset: Any) -> Any:
        """Keep the rows with any of the chosen values."""
        if len(self.values) == 1:
            return queryset.filter(**{self.parameter_name: self.values[0]})
        return (
            queryset.filter(**{f"{self.parameter_name}__in": self.values})
            if self.values
            else queryset
        )

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield a link for each choice; the last is what is asked for, where no other says it."""
        offered = [[value] for value in self.labels] + self.combinations()
        asked = sorted(self.values)
        if asked and asked not in [sorted(values) for values in offered]:
            offered.append(self.values)
        for values in [[], *offered]:
            labels = [self.labels.get(value, value) for value in values]
            yield {
                "selected": sorted(values) == asked,
                "query_string": changelist.get_query_string({self.parameter_name: values or None}),
                "display": either(labels) if labels else _("All"),
            }


class FacetFilter(ChoiceFilter):
    """Filters a list by one field, and offers the values that occur in the user's scope."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices, without reading the events."""
        values = choices(self.parameter_name, contexts_for(request.user))
        return [(value, value or _("(empty)")) for value in values]


class EntryFilter(TrailFilter):
    """Filters by one value that is typed into a form."""

    template = "superoffice_hooks/admin/filters/entry.html"
    parameter_name: ClassVar[str]
    label: ClassVar[Any]
    inputmode = "text"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.value = self.only(self.parameter_name)
        self.meaning = ""
        self.suggested = self.suggestions()

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the name of the one parameter."""
        return (cls.parameter_name,)

    @property
    def problem(self) -> str:
        """What is wrong with the value."""
        return self.problems.get(self.parameter_name, "")

    def suggestions(self) -> list[str]:
        """Return values to choose from, or none."""
        return []

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield a link that undoes the filter."""
        if any(self.given.values()):
            yield {
                "selected": False,
                "query_string": changelist.get_query_string({self.parameter_name: None}),
                "display": _("All"),
            }


class AssociateFilter(EntryFilter):
    """By who did it; the name is shown where the site knows it of somebody on the page."""

    title = _("associate")
    parameter_name = "changed_by_associate_id"
    label = _("The associate's id")
    inputmode = "numeric"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        if self.value and not is_64_bit_number(self.value):
            reason = gettext("“%(value)s” is not the number of an associate.")
            self.refuse(self.parameter_name, self.value, reason)

    def narrow(self, queryset: Any) -> Any:
        """Keep the events that this associate caused."""
        if not self.value:
            return queryset
        return queryset.filter(changed_by_associate_id=int(self.value))

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield a link that undoes the filter; the events of the page tell who it is."""
        if self.value and not self.problems:
            self.meaning = ", ".join(changelist.names_of_associates())
        yield from super().choices(changelist)


class ChangedFieldFilter(EntryFilter):
    """By a field that the event names as changed."""

    title = _("changed field")
    parameter_name = "changed_field"
    label = _("The field's name")

    def suggestions(self) -> list[str]:
        """Return the fields that ever changed, for users who may see every tenant."""
        return field_names() if contexts_for(self.request.user) is None else []

    def narrow(self, queryset: Any) -> Any:
        """Keep the events that changed this field, in whatever case it is known."""
        if not self.value:
            return queryset
        if self.value not in self.suggested:
            alike = [name for name in self.suggested if name.casefold() == self.value.casefold()]
            self.value = alike[0] if alike else self.value
        return queryset.changing(self.value)


class MomentRangeFilter(TrailFilter):
    """Filters by a span of time: ``…_after`` and ``…_before``, each a date or a moment.

    A date is meant in the reader's zone, and the last one is included whole. A moment is ISO 8601,
    in the reader's zone where it names none; ``after`` includes it, ``before`` does not.
    """

    template = "superoffice_hooks/admin/filters/moment_range.html"
    field_path: ClassVar[str]

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.after_name, self.before_name = self.parameters()
        self.texts = {name: self.only(name) for name in self.parameters()}
        self.after = self._limit(self.after_name, timedelta())
        self.before = self._limit(self.before_name, timedelta(days=1))
        if self.after and self.before and self.after >= self.before:
            reason = gettext("“%(value)s” is before the beginning of the span.")
            self.refuse(self.before_name, self.texts[self.before_name], reason)

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the names of the two parameters."""
        return f"{cls.field_path}_after", f"{cls.field_path}_before"

    def _limit(self, name: str, whole_day: timedelta) -> datetime | None:
        text = self.texts[name]
        if not text:
            return None
        try:
            moment = _moment(text, whole_day)
            # At the ends of the calendar, other zones have no such moment.
            if moment is not None and MINYEAR < moment.year < MAXYEAR:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        reason = gettext(
            "“%(value)s” is neither a date, such as 2026-11-21, nor a moment in ISO 8601."
        )
        self.refuse(name, text, reason)
        return None

    def narrow(self, queryset: Any) -> Any:
        """Keep the rows of the span."""
        if self.after is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": self.after})
        if self.before is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lt": self.before})
        return queryset

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The two inputs: the first and the last day, whatever the URL says them by."""
        last = self.before and timezone.localtime(self.before) - timedelta(microseconds=1)
        first = self.after and timezone.localtime(self.after)
        return [
            {
                "name": name,
                "label": label,
                "value": moment.date().isoformat() if moment else "",
                "problem": self.problems.get(name, ""),
            }
            for name, label, moment in (
                (self.after_name, _("From"), first),
                (self.before_name, _("To, inclusive"), last),
            )
        ]

    @property
    def meaning(self) -> str:
        """The span in words where the dates of the inputs do not say it all."""
        if self.problems or all(_is_date(text) for text in self.texts.values() if text):
            return ""
        limits = [
            text % {"moment": formats.date_format(timezone.localtime(moment), "DATETIME_FORMAT")}
            for text, moment in (
                (gettext("from %(moment)s"), self.after),
                (gettext("until %(moment)s"), self.before),
            )
            if moment
        ]
        return " ".join(limits)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield links to the spans that are asked for most."""
        today = timezone.localdate()
        this_month = today.replace(day=1)
        last_month_ends = this_month - timedelta(days=1)
        spans: list[tuple[Any, date | None, date | None]] = [
            (_("Any time"), None, None),
            (_("Today"), today, today),
            (_("Last 7 days"), today - timedelta(days=6), today),
            (_("Last 30 days"), today - timedelta(days=29), today),
            (_("This month"), this_month, today),
            (_("Last month"), last_month_ends.replace(day=1), last_month_ends),
        ]
        given = tuple(self.texts.values())
        for label, first, last in spans:
            dates = (first and first.isoformat(), last and last.isoformat())
            yield {
                "selected": given == tuple(text or "" for text in dates),
                "query_string": changelist.get_query_string(
                    dict(zip(self.parameters(), dates, strict=True))
                ),
                "display": label,
            }


def either(labels: list[str]) -> str:
    """Return the labels as one text, the last of them after an "or"."""
    *first, last = labels
    if not first:
        return last
    return gettext("%(these)s or %(that)s") % {"these": ", ".join(first), "that": last}


def is_64_bit_number(text: str) -> bool:
    """Whether the text is an integer that a column can hold."""
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None and -(2**63) <= int(text) < 2**63


def _moment(text: str, whole_day: timedelta) -> datetime | None:
    day = parse_date(text)
    moment = parse_datetime(text) if day is None else datetime.combine(day + whole_day, time())
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)


def _is_date(text: str) -> bool:
    return parse_date(text) is not None
