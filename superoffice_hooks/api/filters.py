"""The filters of the API. What they do not know is an error: no question may be overheard."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, timedelta
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from superoffice_hooks.models import Delivery, Event, Outcome
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.holding import holding, is_indexed, telling

MAX_LISTED = 50  # values of a list, or of a parameter that is given again
SMALLEST, LARGEST = -(2**63), 2**63 - 1

# On-site installations have the empty context identifier; a test event has no action.
EMPTIABLE = ("context_identifier", "action", "webhook_name")
REPEATABLE = ("changed_field", "deleted_value", "field_value")

_MOMENT = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d\S*)?"


class TextField(forms.CharField):
    """Takes text as it is; white space counts, and the empty text is one."""

    def to_python(self, value: Any) -> Any:
        """Return the text, or ``None`` where the parameter is not given."""
        return value


class TextFilter(django_filters.Filter):
    """Compares text exactly."""

    field_class = TextField

    def filter(self, qs: Any, value: Any) -> Any:
        """Keep the rows with this text; the empty one too, which django-filter takes for none."""
        return qs if value is None else qs.filter(**{self.field_name: value})


class ListField(TextField):
    """Takes texts with commas between them."""

    def __init__(self, *args: Any, can_be_empty: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.can_be_empty = can_be_empty

    def to_python(self, value: Any) -> Any:
        """Return the texts, or ``None`` where the parameter is not given."""
        if value is None:
            return None
        texts = value.split(",")
        if len(texts) > MAX_LISTED:
            raise forms.ValidationError(_too_many())
        texts = [texts[0], *(text.lstrip(" ") for text in texts[1:])]  # as people write lists
        if "" in texts and not self.can_be_empty:
            raise forms.ValidationError(_("A value is missing between two commas."))
        return texts


class ListFilter(django_filters.Filter):
    """Keeps rows that have one of several texts, exactly."""

    field_class = ListField

    def __init__(self, field_name: str, **kwargs: Any) -> None:
        super().__init__(field_name, can_be_empty=field_name in EMPTIABLE, **kwargs)

    def filter(self, qs: Any, value: Any) -> Any:
        """Keep the rows with one of these texts."""
        return qs if value is None else qs.filter(**{f"{self.field_name}__in": value})


class IntegerField(forms.IntegerField):
    """Takes digits, and nothing else that Python reads as a number."""

    def to_python(self, value: Any) -> Any:
        """Return the number, or ``None`` where the parameter is not given."""
        if value is not None and not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise forms.ValidationError(self.error_messages["invalid"], "invalid")
        return super().to_python(value)


class IntegerFilter(django_filters.Filter):
    """Compares a number of 64 bits."""

    field_class = IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            *args,
            lookup_expr="exact",
            min_value=SMALLEST,
            max_value=LARGEST,
            error_messages={"invalid": gettext_lazy("Enter an integer of 64 bits.")},
            **kwargs,
        )


class MomentField(IsoDateTimeField):
    """An ISO 8601 moment, or a date, as the filters of the admin take them.

    A date is the whole day: as an end it is the day's last moment. Without offset it is in the
    current time zone.
    """

    default_error_messages: ClassVar = {
        "invalid": gettext_lazy(
            "Enter a date or a moment in ISO 8601, such as 2026-03-02 or 2026-03-02T09:15:27Z; "
            "the + of an offset is written %2B."
        )
    }

    def __init__(self, *args: Any, is_end: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_end = is_end

    def to_python(self, value: Any) -> Any:
        """Return the moment in UTC, in which the calendar ends earlier for some of them."""
        from superoffice_hooks.trail.activity import TICK, midnight  # as api/summary.py does

        if value and not re.fullmatch(_MOMENT, value, re.ASCII):
            raise forms.ValidationError(self.error_messages["invalid"], "invalid")
        try:
            if value and len(value) == len("2026-03-02"):
                day = date.fromisoformat(value)
                return midnight(day + timedelta(days=1)) - TICK if self.is_end else midnight(day)
            moment = super().to_python(value)
            return moment and moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from None


class MomentFilter(django_filters.Filter):
    """Compares a moment."""

    field_class = MomentField

    def __init__(self, field_name: str, lookup_expr: str, **kwargs: Any) -> None:
        super().__init__(field_name, lookup_expr, is_end=lookup_expr == "lte", **kwargs)


class RepeatedField(forms.Field):
    """Takes a parameter as often as it is given, each time of the same form."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *args: Any, read: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read = read

    def to_python(self, value: Any) -> Any:
        """Return what each was read as."""
        values = list(dict.fromkeys(value or ()))
        if len(values) > MAX_LISTED:
            raise forms.ValidationError(_too_many())
        return [self.read(text) for text in values]


class RepeatedFilter(django_filters.Filter):
    """Keeps the rows to which every value of a parameter applies."""

    field_class = RepeatedField

    def __init__(
        self,
        select: Callable[..., EventQuerySet],
        read: Callable[[str], tuple[str, ...]],
        **kwargs: Any,
    ) -> None:
        super().__init__(read=read, **kwargs)
        self.select = select

    def filter(self, qs: Any, value: Any) -> Any:
        """Keep the rows that the selection keeps for each of the values."""
        for arguments in value or ():
            qs = self.select(qs, *arguments)
        return qs


def _name_and_value(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not name or not colon:
        raise forms.ValidationError(_("Enter a name and a value, such as contact_id:21."))
    return name, value


def _one_of(choices: Iterable[str]) -> Any:
    """Return the message that says which values a parameter takes."""
    return format_lazy(gettext_lazy("Enter one of: {choices}."), choices=", ".join(choices))


class ChoiceFilter(django_filters.ChoiceFilter):
    """Compares one of a few texts, and says which they are."""

    def __init__(self, choices: Iterable[str], **kwargs: Any) -> None:
        super().__init__(
            lookup_expr="exact",
            null_label=None,
            choices=[(choice, choice) for choice in choices],
            error_messages={"invalid_choice": _one_of(choices)},
            **kwargs,
        )


class TwinFilter(ChoiceFilter):
    """Keeps the twins alone, or all other events."""

    def __init__(self) -> None:
        super().__init__(("true", "false"))

    def filter(self, qs: Any, value: Any) -> Any:
        """Keep the rows that are asked for."""
        if not value:
            return qs
        return qs.twins() if value == "true" else qs.once()


class OrderingFilter(ChoiceFilter):
    """Orders by a column that has an index, and among its equals by the id."""

    def __init__(self, *columns: str, **kwargs: Any) -> None:
        orders = [order for column in columns for order in (f"-{column}", column)]
        super().__init__(orders, **kwargs)

    def filter(self, qs: Any, value: Any) -> Any:
        """Return the rows in this order.

        Where none is asked for, a span of ``received_at`` is read in the order of its index.
        """
        if value:
            return qs.order_by(value, "-id" if value.startswith("-") else "id")
        asked = self.parent.form.cleaned_data
        if any(asked.get(f"received_at_{side}") for side in ("after", "before")):
            return qs.order_by("-received_at", "-id")
        return qs


class SpanForm(forms.Form):
    """Refuses a span of time that ends before it begins, and values that no index finds."""

    def clean(self) -> dict[str, Any]:
        """Return the values; name the parameter of those that do not go together."""
        given: dict[str, Any] = super().clean() or {}
        for field in ("occurred_at", "received_at"):
            begin, end = given.get(f"{field}_after"), given.get(f"{field}_before")
            if begin and end and begin > end:
                message = _("Enter a moment that is not later than {other}.")
                self.add_error(f"{field}_after", message.format(other=f"{field}_before"))
        is_narrow = given.get("primary_key") is not None or given.get("event_id") is not None
        for name in ("deleted_value", "field_value"):
            for field, text in given.get(name) or ():
                if is_indexed(field, "1") and not is_indexed(field, text):
                    message = _("Enter an id after the colon, such as {field}:21.")
                    self.add_error(name, message.format(field=field))
                elif not is_narrow and not is_indexed(field, text):
                    message = _(
                        "Enter the id of a record, such as contact_id:21, or give primary_key or "
                        "event_id too: only then can {field} be searched without reading every "
                        "event."
                    )
                    self.add_error(name, message.format(field=field))
        return given


class EventFilter(FilterSet):
    """Selects events; an index stands behind every filter."""

    context_identifier = TextFilter()
    context_identifier__in = ListFilter("context_identifier")
    entity = TextFilter()
    entity__in = ListFilter("entity")
    action = TextFilter()
    action__in = ListFilter("action")
    name = TextFilter()
    name__in = ListFilter("name")
    primary_key = IntegerFilter()
    changed_by_associate_id = IntegerFilter()
    webhook_name = TextFilter()
    event_id = django_filters.UUIDFilter(lookup_expr="exact")
    occurred_at_after = MomentFilter("occurred_at", "gte")
    occurred_at_before = MomentFilter("occurred_at", "lte")
    received_at_after = MomentFilter("received_at", "gte")
    received_at_before = MomentFilter("received_at", "lte")
    changed_field = RepeatedFilter(EventQuerySet.changing, lambda text: (text,))
    deleted_value = RepeatedFilter(holding, _name_and_value)
    field_value = RepeatedFilter(telling, _name_and_value)
    is_twin = TwinFilter()
    ordering = OrderingFilter("occurred_at", "received_at")

    class Meta:
        model = Event
        fields = ()
        form = SpanForm


class UnorderedEventFilter(EventFilter):
    """Selects events where there is one order, or none."""

    ordering = None  # type: ignore[assignment]  # how django-filter takes one away


class DeliveryFilter(FilterSet):
    """Selects deliveries; likewise."""

    outcome = ChoiceFilter(Outcome.values)
    event = IntegerFilter("event_id")
    received_at_after = MomentFilter("received_at", "gte")
    received_at_before = MomentFilter("received_at", "lte")
    ordering = OrderingFilter("id", "received_at")

    class Meta:
        model = Delivery
        fields = ()
        form = SpanForm


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """Raise ``ValidationError`` for parameters that nothing reads, that are empty or come twice."""
    known = list(known)
    errors = {}
    for name, values in request.query_params.lists():
        if name not in known:
            message = _("Unknown parameter. Known are: {known}.")
            errors[name] = [message.format(known=", ".join(known) or _("none"))]
        elif "" in values and name.removesuffix("__in") not in EMPTIABLE:
            errors[name] = [_("A value is missing.")]
        elif len(values) > 1 and name not in REPEATABLE:
            errors[name] = [_("Only one value can be given.")]
        elif any("\0" in value for value in values):
            errors[name] = [_("Null characters are not allowed.")]
    if errors:
        raise ValidationError(errors)


def select(
    filters: type[FilterSet], request: Request, rows: QuerySet[Any], *others: str
) -> FilterSet:
    """Return the set of filters that the request fills in, its ``qs`` the selected rows.

    ``others`` are the parameters that are no filters. Raises ``ValidationError`` that names the
    parameters which cannot be answered.
    """
    refuse_unknown(request, [*filters.base_filters, *others])
    selection = filters(request.query_params, queryset=rows, request=request)
    if not selection.is_valid():
        # django-filter's own translation fails on a percent sign in what was asked.
        raise ValidationError({name: list(texts) for name, texts in selection.errors.items()})
    return selection


class StrictFilterBackend(DjangoFilterBackend):
    """Answers 400 to a query parameter that nothing reads, has no value, or comes twice."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the selected rows, or raise ``ValidationError`` that names the parameter.

        One row alone is not filtered.
        """
        if getattr(view, "detail", False):
            refuse_unknown(request, view.other_parameters)
            return queryset
        filters = self.get_filterset_class(view, queryset)
        return select(filters, request, queryset, *view.other_parameters).qs


def _too_many() -> str:
    return _("At most {most} values can be given.").format(most=MAX_LISTED)
