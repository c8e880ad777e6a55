"""``api/records/``: the story of one record, and what happened around it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from superoffice_hooks.api.base import TrailView
from superoffice_hooks.api.filters import LARGEST, SMALLEST, refuse_unknown
from superoffice_hooks.api.pagination import read_place
from superoffice_hooks.models import Event
from superoffice_hooks.trail.changes import Technical
from superoffice_hooks.trail.people import People
from superoffice_hooks.trail.place import Place
from superoffice_hooks.trail.record import Record
from superoffice_hooks.trail.scope import contexts_for


class RecordQuery(serializers.Serializer[Any]):
    """Which record is asked for, by path or query: a tenant may be empty, and hold a slash."""

    context_identifier = serializers.CharField(
        allow_blank=True, trim_whitespace=False, max_length=255
    )
    entity = serializers.CharField(trim_whitespace=False, max_length=255)
    primary_key = serializers.IntegerField(min_value=SMALLEST, max_value=LARGEST)


class RecordResource(TrailView):
    """What both resources of a record have."""

    queryset: QuerySet[Event] = Event.objects.none()  # says which permission to ask for
    trail_scope = "superoffice_records"
    names = ("context_identifier", "entity", "primary_key")
    beside: ClassVar[tuple[str, ...]] = ("cursor",)

    def asked(self, request: Request, path: Mapping[str, str]) -> tuple[Record, Place | None]:
        """Return the record and the place in its story that are asked for.

        Answers 404 where the user may not see the tenant.
        """
        refuse_unknown(request, self.beside if path else (*self.names, *self.beside))
        query = RecordQuery(data=path or request.query_params)
        query.is_valid(raise_exception=True)
        record = Record(**query.validated_data)
        contexts = contexts_for(request.user)
        if contexts is not None and record.context_identifier not in contexts:
            raise NotFound
        cursor = request.query_params.get("cursor")
        return record, None if cursor is None else read_place(cursor)

    def context(self, record: Record) -> dict[str, Any]:
        """Return what the serializers need to show parts of the record."""
        return {
            "record": record,
            "technical": Technical(),
            "people": People(),
            "next_related": lambda page: self.link("related", record, page.older),
        }

    def link(self, name: str, record: Record, place: Place | None, **more: str) -> str | None:
        """Return the address of what comes after a place; ``None`` where nothing does."""
        if place is None:
            return None
        query = {**record._asdict(), **more, "cursor": str(place)}
        path = reverse(f"superoffice_hooks:{name}", query=query)
        return str(self.request.build_absolute_uri(path))


class RecordView(RecordResource):
    """A page of a record's timeline: values before and after, gaps, its deletion.

    The first page has what happened around the record too.
    """

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Return what shows the story of a record."""
        from superoffice_hooks.api.answers import TimelineSerializer  # no start needs it

        return TimelineSerializer

    def get(self, request: Request, **path: str) -> Response:
        """Answer with the record, or 404 where the user can see nothing of it."""
        # What only these pages need, and no start.
        from superoffice_hooks.trail.dossier import dossier
        from superoffice_hooks.trail.related import related
        from superoffice_hooks.trail.timeline import timeline

        record, before = self.asked(request, path)
        context = self.context(record)
        page = timeline(record, request.user, context["technical"], before)
        around = related(record, request.user) if before is None else None
        if page is None and before is not None:
            raise NotFound(_("The trail holds nothing of this record that is as old."))
        if page is None and not (around and around.mentions):
            raise NotFound(_("The trail holds nothing of this record."))
        shown: Any = {
            "context_identifier": record.context_identifier,
            "entity": record.entity,
            "primary_key": record.primary_key,
            "url": record.url,
            "page": page,
            "dossier": page
            and dossier(record, request.user, page.milestones, context["technical"]),
            "related": around,
            "next": page and self.link("record", record, page.older),
        }
        return Response(self.get_serializer_class()(shown, context=context).data)


class RelatedView(RecordResource):
    """A page of the events of other records that name this one; ``of`` keeps to an entity."""

    beside = ("cursor", "of")

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Return what shows the events around a record."""
        from superoffice_hooks.api.answers import RelatedSerializer  # likewise

        return RelatedSerializer

    def get(self, request: Request, **path: str) -> Response:
        """Answer with the events around the record."""
        from superoffice_hooks.trail.related import related

        record, before = self.asked(request, path)
        of = request.query_params.get("of")
        page = related(record, request.user, of, before)
        more = {} if of is None else {"of": of}
        context = self.context(record)
        context["next_related"] = lambda page: self.link("related", record, page.older, **more)
        return Response(self.get_serializer_class()(page, context=context).data)
