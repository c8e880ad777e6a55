"""The filters of the API. What they do not know is an error: no question may be overheard."""

from datetime import UTC
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from superoffice_hooks.models import Event

# On-site installations have the empty context identifier; a test event has no action.
EMPTIABLE = ("context_identifier", "action")
REPEATABLE = ("changed_field",)


class TextFilter(django_filters.CharFilter):
    """Compares text exactly; white space counts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, strip=False, **kwargs)


class IntegerFilter(django_filters.Filter):
    """Compares a number of 64 bits."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=-(2**63), max_value=2**63 - 1, **kwargs)


class MomentField(IsoDateTimeField):
    """An ISO 8601 moment; without offset it is in the current time zone."""

    def to_python(self, value: Any) -> Any:
        """Return the moment in UTC, in which the calendar ends earlier for some of them."""
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from None


class MomentFilter(django_filters.Filter):
    """Compares a moment."""

    field_class = MomentField


class EventFilter(FilterSet):
    """Selects events; an index stands behind every filter."""

    context_identifier = TextFilter()
    entity = TextFilter()
    action = TextFilter()
    name = TextFilter()
    primary_key = IntegerFilter()
    event_id = django_filters.UUIDFilter()
    occurred_at_after = MomentFilter("occurred_at", "gte")
    occurred_at_before = MomentFilter("occurred_at", "lte")
    changed_field = TextFilter(method="changing")

    class Meta:
        model = Event
        fields = ()

    def filter_queryset(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """Apply the filters that were given, those given as empty text too.

        django-filter takes an empty value for none.
        """
        queryset = super().filter_queryset(queryset)
        for name, given in self.filters.items():
            if isinstance(given, TextFilter) and self.data.get(name) == "":
                queryset = (
                    queryset.filter(**{name: ""}) if given.method is None else queryset.none()
                )
        return queryset

    def changing(self, queryset: Any, name: str, value: str) -> Any:
        """Keep the events that changed every one of the named fields."""
        for field in self.data.getlist(name):
            queryset = queryset.changing(field)
        return queryset


class StrictFilterBackend(DjangoFilterBackend):
    """Answers 400 to a query parameter that nothing reads, has no value, or comes twice."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the selected rows, or raise ``ValidationError`` that names the parameter."""
        filters = self.get_filterset_class(view, queryset).base_filters
        paging = (view.paginator.cursor_query_param, view.paginator.page_size_query_param)
        known = [*filters, *paging]
        errors = {}
        for name, values in request.query_params.lists():
            if name not in known:
                errors[name] = [f"Unknown parameter. Known are: {', '.join(known)}."]
            elif "" in values and name not in EMPTIABLE:
                errors[name] = ["A value is missing."]
            elif len(values) > 1 and name not in REPEATABLE:
                errors[name] = ["Only one value can be given."]
            elif any("\0" in value for value in values):
                errors[name] = ["Null characters are not allowed."]
        if errors:
            raise ValidationError(errors)
        return super().filter_queryset(request, queryset, view)
