"""``export.ndjson``, ``export.csv`` and ``manifest/``: a filtered list as a whole."""

from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django_filters.rest_framework import FilterSet
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, IntegerField
from rest_framework.utils.urls import replace_query_param

from superoffice_hooks.api.base import TrailView, non_atomic
from superoffice_hooks.api.filters import EventFilter, StrictFilterBackend, select
from superoffice_hooks.api.follow import Unsettled
from superoffice_hooks.api.pagination import read_place
from superoffice_hooks.models import Event
from superoffice_hooks.trail.follow import UnsettledError, settled
from superoffice_hooks.trail.scope import deliveries_for, events_for
from superoffice_hooks.trail.selection import Selection


class SelectionView(TrailView, GenericAPIView[Model]):
    """What an export and its manifest have in common.

    ``queryset`` is of the model whose rows are exported.
    """

    queryset: QuerySet[Any] = Event.objects.all()
    filter_backends = (StrictFilterBackend,)
    filterset_class: type[FilterSet] = EventFilter
    other_parameters: ClassVar[tuple[str, ...]] = ("until",)
    trail_scope = "superoffice_export"

    def selection(self, request: Request) -> Selection:
        """Return the rows that are asked for, up to ``until``, by default the newest now."""
        rows = events_for if self.queryset.model is Event else deliveries_for
        others = self.other_parameters
        filled = select(self.filterset_class, request, rows(request.user), *others)
        try:
            now = settled(self.queryset.model)
        except UnsettledError as error:
            raise Unsettled(str(error)) from error
        asked = request.query_params.get("until")
        try:
            field = IntegerField(min_value=0, max_value=now)
            until = now if asked is None else int(field.run_validation(asked))
        except ValidationError as error:
            raise ValidationError({"until": error.detail}) from None
        given = filled.form.cleaned_data
        by_occurred = given.get("occurred_at_after") or given.get("occurred_at_before")
        clock = "occurred_at" if by_occurred else "received_at"
        tenants = given.get("context_identifier__in")
        if given.get("context_identifier") is not None:
            one = given["context_identifier"]
            tenants = [one] if tenants is None or one in tenants else []
        return Selection(
            rows=filled.qs,
            until=until,
            user=request.user,
            filter={
                name: values if len(values) > 1 else values[0]
                for name, values in request.query_params.lists()
                if name not in ("cursor", "until")
            },
            after=given.get(f"{clock}_after"),
            before=given.get(f"{clock}_before"),
            tenants=tenants,
        )


@method_decorator(non_atomic, name="dispatch")
class ExportView(SelectionView):
    """Every row that the filters select, as one file, a line for each.

    The header ``Link`` names the manifest: how many rows and bytes it has, and their SHA-256. Its
    ``until`` is the newest row that is exported. A download that broke off goes on with that
    ``until`` and, as ``cursor``, the time and the id of the last whole line: what comes then
    continues the file byte for byte.
    """

    other_parameters = ("cursor", "until")
    file_format = "ndjson"

    def get(self, request: Request) -> HttpResponseBase:
        """Answer with a stream."""
        from superoffice_hooks.trail.export import Export, respond  # no start needs them
        from superoffice_hooks.trail.formats import FORMATS

        cursor = request.query_params.get("cursor")
        place = None if cursor is None else read_place(cursor)
        selection = self.selection(request)
        if cursor is not None and "until" not in request.query_params:
            message = _("It is missing: the header Link of the export that goes on here has it.")
            raise ValidationError({"until": [message]})
        if place is not None and not selection.has(place):
            message = _(
                "Enter the {field} of the last row that came and its id, with _ between them."
            )
            raise ValidationError({"cursor": [message.format(field=selection.moment)]})
        export = Export(selection, FORMATS[self.file_format], place)
        response = respond(request._request, export, export.filename, export.format.content_type)
        here = request.build_absolute_uri(f"manifest/{_question(request)}")
        link = replace_query_param(here, "until", str(selection.until))
        response["Link"] = f'<{link}>; rel="describedby"'
        return response


@method_decorator(non_atomic, name="dispatch")
class ManifestView(SelectionView):
    """What an export holds: filter, time, count, SHA-256, and the gaps that the trail shows.

    Rows never change, so that it can be asked for at any time, with the ``until`` of the export.
    The rows are all read for it: it takes as long as the export.
    """

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return what shows a manifest."""
        from superoffice_hooks.api.answers import ManifestSerializer  # no start needs it

        return ManifestSerializer

    def get(self, request: Request) -> Response:
        """Answer with the manifest."""
        from superoffice_hooks.trail.manifest import manifest  # likewise

        return Response(self.get_serializer(manifest(self.selection(request))).data)


def _question(request: Request) -> str:
    query = request.query_params.copy()
    query.pop("cursor", None)
    return f"?{query.urlencode()}" if query else ""
