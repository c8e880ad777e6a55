"""``api/schema/``: the API as OpenAPI, and ``api/schema/docs/``, a page to read and try it.

All that knows drf-spectacular. Only a site that has it in ``INSTALLED_APPS`` imports this module.
"""

import re
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import Any

import django_filters
from django.apps import apps
from django.urls import get_script_prefix, path
from django.utils import translation
from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from superoffice_hooks import __version__
from superoffice_hooks.api.answers import AssociateSerializer
from superoffice_hooks.api.base import SAFE_INTEGER, TrailView
from superoffice_hooks.api.filters import (
    EMPTIABLE,
    LARGEST,
    MAX_LISTED,
    SMALLEST,
    ChoiceFilter,
    IntegerFilter,
    ListFilter,
    MomentFilter,
    RepeatedFilter,
    refuse_unknown,
)
from superoffice_hooks.api.pagination import TrailPagination
from superoffice_hooks.api.serializers import EventSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.trail.facets import FACETS, MAX_CHOICES
from superoffice_hooks.trail.formats import FORMATS

JsonSchema = dict[str, Any]

DESCRIPTION = f"""\
What happened in SuperOffice, as its webhooks told it: read only, for users with the permission
`superoffice_hooks.view_event`, and `superoffice_hooks.view_delivery` for the deliveries.

* The words are those of SuperOffice's webhooks, in snake_case.
* A parameter that nothing reads, that has no value, or that comes twice where it can come once is
  answered 400.
* What a user may not see is answered 404, as what is not there.
* Integers beyond {SAFE_INTEGER} (2^53-1) are strings in answers, as RFC 7493 asks, for JavaScript
  would round them. This is so in `field_values` and `deleted_values` too.
* Moments are ISO 8601. In a URL the `+` of an offset is written `%2B`.
"""

# Most examples speak of this event, so that they can also be asked for together.
EXAMPLE: dict[str, Any] = {
    "id": 4711,
    "event_id": "e2adc9af-a023-49c3-a43c-e7f5b5d5e8a3",
    "name": "contact.changed",
    "entity": "contact",
    "action": "changed",
    "primary_key": 1148,
    "context_identifier": "Cust24680",
    "changed_by_associate_id": 12,
    "webhook_name": "Audit trail",
    "occurred_at": "2026-03-02T08:33:17.712862Z",
    "received_at": "2026-03-02T08:33:18.204911Z",
    "changed_fields": [
        "contact_id",
        "name",
        "department",
        "orgNr",
        "country_id",
        "updated",
        "updated_associate_id",
        "updatedCount",
    ],
    "deleted_values": {},
    "field_values": {
        "name": "Solbakken Møbler AS",
        "department": "Bodø",
        "orgNr": "998877665",
        "country_id": 578,
        "category_idx": 2,
        "mother_id": 0,
    },
    "properties": {},
    "flags": [],
    "twin_of": None,
}

# What the filters mean, and an example of each; lists of them are described by the same words.
FILTERS: dict[str, tuple[str, Any]] = {
    "context_identifier": (
        "The tenant: Cust12345 online, Default or empty on-site.",
        EXAMPLE["context_identifier"],
    ),
    "entity": ("What kind of record it is.", EXAMPLE["entity"]),
    "action": (
        "What happened to the record. What a user deletes in SuperOffice is softdeleted; deleted "
        "is for good.",
        EXAMPLE["action"],
    ),
    "name": ("The event, as SuperOffice names it.", EXAMPLE["name"]),
    "primary_key": ("The id of the record in SuperOffice.", EXAMPLE["primary_key"]),
    "changed_by_associate_id": ("The associate's id; 0 is the system.", 12),
    "webhook_name": ("The name of the webhook in SuperOffice.", EXAMPLE["webhook_name"]),
    "event_id": ("The GUID that SuperOffice gave the event.", EXAMPLE["event_id"]),
    "occurred_at_after": (
        "From this moment or day on, by SuperOffice's clock; without offset it is in the site's "
        "time zone.",
        "2026-03-02T00:00:00Z",
    ),
    "occurred_at_before": (
        "Until and including this moment or day, by SuperOffice's clock.",
        "2026-03-03T00:00:00Z",
    ),
    "received_at_after": ("Arrived from this moment or day on.", "2026-03-02T01:00:00+01:00"),
    "received_at_before": (
        "Arrived until and including this moment or day.",
        "2099-12-31T23:59:59Z",
    ),
    "changed_field": ("Names this field as changed; given again, all of them.", ["name"]),
    "deleted_value": (
        "A value of the row that was deleted; given again, all of them. Other fields than the ids "
        "of records need primary_key or event_id too.",
        ["contact_id:1201"],
    ),
    "field_value": (
        "A value that the event told; given again, all of them. Other fields than the ids of "
        "records need primary_key or event_id too.",
        ["contact_id:1201"],
    ),
    "is_twin": (
        "Whether another event told the same change first, under another id or by another webhook.",
        "false",
    ),
    "ordering": ("The order; with a hyphen the last first.", "-received_at"),
    "outcome": ("What became of the delivery.", "recorded"),
    "event": ("The id of the event that the delivery recorded, repeated or contradicts.", 4711),
}

# The other parameters: of which form they are, what they mean, and an example.
PLACE = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{6})?Z_[0-9]{1,18}"
BIGINT: JsonSchema = {
    "type": "integer",
    "format": "int64",
    "minimum": SMALLEST,
    "maximum": LARGEST,
}
ID: JsonSchema = BIGINT | {"minimum": 0}
OTHERS: dict[str, tuple[JsonSchema, Any, Any]] = {
    "id": (ID, "The id of the row in the trail.", EXAMPLE["id"]),
    "context_identifier": ({"type": "string", "maxLength": 255}, *FILTERS["context_identifier"]),
    "entity": ({"type": "string", "minLength": 1, "maxLength": 255}, *FILTERS["entity"]),
    "primary_key": (BIGINT, *FILTERS["primary_key"]),
    "of": ({"type": "string", "minLength": 1}, "Only events of records of this entity.", "sale"),
    "page_size": (
        {
            "type": "integer",
            "minimum": 1,
            "maximum": TrailPagination.max_page_size,
            "default": TrailPagination.page_size,
        },
        TrailPagination.page_size_query_description,
        20,
    ),
    "cursor": (
        {"type": "string", "pattern": f"^(back_)?{PLACE}$"},
        TrailPagination.cursor_query_description,
        "2099-12-31T23:59:59Z_4711",
    ),
    "until": (
        ID,
        "The id of the newest row that is exported; by default the newest that there is. An "
        "export that goes on needs it.",
        0,
    ),
    "If-None-Match": (
        {"type": "string"},
        "The ETag of an answer that is there already: 304 says that it still holds.",
        '"5d41402abc4b2a76b9719d911017c592"',
    ),
}
FOLLOWING: tuple[JsonSchema, Any, Any] = (
    {"type": "string", "pattern": "^(latest|[0-9]{1,18})$"},
    "Where to go on, as the link next says it; latest for what is yet to come.",
    "latest",
)

# What the serializers leave open; SuperOffice's keys have 64 bits.
BIG: JsonSchema = {
    "oneOf": [
        {"type": "integer", "minimum": -SAFE_INTEGER, "maximum": SAFE_INTEGER},
        {"type": "string", "pattern": "^-?[0-9]{16,19}$"},
    ],
}
OBJECT: JsonSchema = {"type": "object", "additionalProperties": {}}
TEXTS: JsonSchema = {"type": "array", "items": {"type": "string"}}
OPEN: dict[str, Any] = {
    "primary_key": BIG,
    "associate_id": BIG,
    "changed_by_associate_id": BIG,
    "webhook": BIG,
    "changed_by": AssociateSerializer,
    "field_values": OBJECT,
    "properties": OBJECT,
    "headers": OBJECT,
    "flags": TEXTS,
}


class DetailSerializer(serializers.Serializer[Any]):
    """Why there is no answer."""

    detail = serializers.CharField()


class FollowedSerializer(serializers.Serializer[Any]):
    """The next events, and where to go on."""

    next = serializers.URLField(help_text="Where to go on; always there.")
    more = serializers.BooleanField(help_text="Whether to go on at once.")
    results = EventSerializer(many=True)


class ChoicesSerializer(serializers.Serializer[Any]):
    """The values that the filters can be given."""

    def get_fields(self) -> dict[str, Any]:
        """Return a list for each of these filters."""
        hint = "Null for users who may not see every tenant."
        return {
            **{name: _texts() for name in FACETS},
            "changed_field": _texts(allow_null=True, help_text=hint),
        }


def _texts(**options: Any) -> Any:
    return serializers.ListField(child=serializers.CharField(), max_length=MAX_CHOICES, **options)


# What the statuses other than 200 mean, and what is answered.
STATUSES: dict[int, tuple[Any, str, Any]] = {
    304: (None, "The answer that If-None-Match names still holds.", None),
    400: (
        {"type": "object", "additionalProperties": TEXTS},
        "A parameter cannot be read, or nothing reads it: what is wrong, by parameter.",
        {"page_size": ["Ensure this value is less than or equal to 200."]},
    ),
    401: (
        DetailSerializer,
        "Nobody has logged in.",
        {"detail": "Authentication credentials were not provided."},
    ),
    403: (
        DetailSerializer,
        "The user may not read this, or nobody has logged in.",
        {"detail": "You do not have permission to perform this action."},
    ),
    404: (
        DetailSerializer,
        "There is nothing here that the user may see.",
        {"detail": "The trail holds nothing of this record."},
    ),
    429: (
        DetailSerializer,
        "The user has asked more often than the site allows.",
        {"detail": "Request was throttled. Expected available in 12 seconds."},
    ),
    503: (
        DetailSerializer,
        "Events are being written, and which of them come next is not known yet.",
        {"detail": "Somebody is writing events."},
    ),
}


class TrailSchema(AutoSchema):
    """What drf-spectacular cannot tell from the views: every parameter, every status, examples."""

    view: Any

    # Which of the operations it is.

    @property
    def resource(self) -> str:
        """The path below ``api/``, wherever the site has it."""
        return str(self.path).rpartition("/api/")[2]

    @property
    def in_path(self) -> list[str]:
        """The names of the parameters that the path has."""
        return re.findall(r"{(\w+)}", self.resource)

    @property
    def is_of_a_record(self) -> bool:
        """Whether it tells of one record of SuperOffice."""
        return bool(self.view.trail_scope == "superoffice_records")

    @property
    def is_followed(self) -> bool:
        """Whether it goes on after an id that no transaction can come before."""
        return self.view.trail_scope in ("superoffice_follow", "superoffice_export")

    @property
    def action(self) -> str:
        """The action of a set of views; of others ``get``."""
        return getattr(self.view, "action", "get")

    @property
    def file_format(self) -> str | None:
        """The format of an export; ``None`` for all that is JSON."""
        return getattr(self.view, "file_format", None)

    def get_operation_id(self) -> str:
        """Return the words of the path."""
        words = re.findall(r"\w+", re.sub(r"{\w+}", "", self.resource))
        action = "list" if self.action == "list" else "retrieve" if self.in_path else "read"
        return "_".join(["superoffice", *words, action])

    def get_tags(self) -> list[str]:
        """Return what the path begins with."""
        return [self.resource.partition("/")[0]]

    def get_summary(self) -> str:
        """Return the first sentence of the docstring."""
        return (
            " ".join(self.get_description().partition("\n\n")[0].split())
            .rstrip(".")
            .replace("``", "")
        )

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        """Return the docstring of what the operation gives."""
        if self.action == "retrieve":
            return get_doc(self.view.get_serializer_class())
        if self.action in ("get", "list"):
            return get_doc(self.view.__class__)
        return get_doc(getattr(self.view, self.action))

    # What is asked.

    def get_filter_backends(self) -> list[Any]:
        """Return none: what filters take is told below, more exactly."""
        return []

    def get_override_parameters(self) -> list[Any]:
        """Return the parameters, and the headers of the answers."""
        return [
            *(_parameter(name, OpenApiParameter.PATH) for name in self.in_path),
            *self._in_query(),
            *self._in_headers(),
        ]

    def _in_query(self) -> Iterator[OpenApiParameter]:
        if self.is_of_a_record:
            for name in () if self.in_path else self.view.names:
                yield _parameter(name, required=True)
        elif self.action in ("get", "list"):
            for name, of in self.view.filterset_class.base_filters.items():
                yield _filter(name, of)
        for name in self.view.beside if self.is_of_a_record else self.view.other_parameters:
            if name == "cursor" and self.view.trail_scope == "superoffice_follow":
                yield _described(name, *FOLLOWING)
            else:
                yield _parameter(name)

    def _in_headers(self) -> Iterator[OpenApiParameter]:
        if self.file_format is None:
            yield _parameter("If-None-Match", OpenApiParameter.HEADER)
            yield _header("ETag", str, "Names this answer, for If-None-Match.", 200, 304)
        else:
            yield _header("Link", str, "The address of the manifest of this export.", 200)
        yield _header("Retry-After", int, "In how many seconds to ask again.", 429, 503)

    # What is answered.

    def get_response_serializers(self) -> Any:
        """Return what each status that can occur comes with."""
        possible = {400, 401, 403, 429}
        if self.file_format is None:
            possible.add(304)
        if self.in_path or self.is_of_a_record:
            possible.add(404)
        if self.is_followed:
            possible.add(503)
        others = {
            (status, "application/json"): OpenApiResponse(
                response,
                description,
                examples=[]
                if example is None
                else [OpenApiExample(str(status), example, status_codes=[str(status)])],
            )
            for status, (response, description, example) in STATUSES.items()
            if status in possible
        }
        return {**self._success(), **others}

    def _success(self) -> dict[Any, OpenApiResponse]:
        if self.file_format is not None:
            media_type = FORMATS[self.file_format].content_type.partition(";")[0]
            return {(200, media_type): OpenApiResponse({"type": "string"}, "The file.")}
        examples = []
        if self.view.trail_scope == "superoffice_follow":
            found: Any = FollowedSerializer
        elif self.action == "choices":
            found = ChoicesSerializer
        else:
            found = self.view.get_serializer_class()
        if found is EventSerializer:
            examples = [OpenApiExample(EXAMPLE["name"], EXAMPLE)]
        whole = self.view.__class__ if self.action == "list" else found
        return {200: OpenApiResponse(found, get_doc(whole), examples)}

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Return a name that the serializers of a site do not have."""
        return f"SuperOffice{super().get_serializer_name(serializer, direction)}"

    def _map_serializer_field(
        self, field: Any, direction: Any, bypass_extensions: bool = False
    ) -> Any:
        if field.field_name in OPEN:
            set_override(field, "field", OPEN[field.field_name])
        return super()._map_serializer_field(field, direction, bypass_extensions)


def _filter(name: str, of: django_filters.Filter) -> OpenApiParameter:
    """Return what a filter takes."""
    one = name.removesuffix("__in")
    description, example = FILTERS[one]
    schema: JsonSchema = {"type": "string"}
    if one not in EMPTIABLE:
        schema["minLength"] = 1
    more: dict[str, Any] = {}
    match of:
        case IntegerFilter():
            schema = BIGINT
        case MomentFilter():
            formats = ("date-time", "date")
            schema = {"anyOf": [{"type": "string", "format": name} for name in formats]}
        case django_filters.UUIDFilter():
            schema = {"type": "string", "format": "uuid"}
        case ChoiceFilter():
            schema = {"type": "string", "enum": [choice for choice, _ in of.extra["choices"]]}
        case ListFilter():
            items = schema | {"pattern": "^[^,]*$"}
            schema = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_LISTED}
            description = f"{description} One of these, with commas between them."
            example, more = [example], {"style": "form", "explode": False}
        case RepeatedFilter():
            items = schema if name == "changed_field" else schema | {"pattern": "^[^:]+:"}
            schema = {"type": "array", "items": items, "maxItems": MAX_LISTED}
            more = {"style": "form", "explode": True}
    return _described(name, schema, description, example, **more)


def _parameter(name: str, location: Any = OpenApiParameter.QUERY, **more: Any) -> OpenApiParameter:
    schema, description, example = OTHERS[name]
    if location == OpenApiParameter.PATH and schema["type"] == "string":
        # An empty text, or one with a slash, can only stand in the query.
        schema = schema | {"minLength": 1, "pattern": "^[^/]+$"}
    return _described(name, schema, description, example, location=location, **more)


def _described(
    name: str, schema: JsonSchema, description: Any, example: Any, **more: Any
) -> OpenApiParameter:
    examples = [OpenApiExample(name, example)]
    return OpenApiParameter(name, schema, description=description, examples=examples, **more)


def _header(name: str, kind: type, description: str, *statuses: int) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=description, response=[*statuses]
    )


class TrailViews(OpenApiViewExtension):
    """Gives the views of this API their schema, whatever ``DEFAULT_SCHEMA_CLASS`` the site has."""

    target_class = TrailView
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        """Return the view with its schema."""
        return type(self.target.__name__, (self.target,), {"schema": TrailSchema()})


class TrailEndpoints(EndpointEnumerator):
    """Finds the views of this API, wherever the site has them, and no others."""

    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        """Whether this is a view of this API that tells of the trail."""
        view = getattr(callback, "cls", None)
        return (
            isinstance(view, type)
            and issubclass(view, TrailView)
            and bool(super().should_include_endpoint(path, callback))
        )


class TrailGenerator(SchemaGenerator):
    """Describes this API alone."""

    endpoint_inspector_cls = TrailEndpoints


# drf-spectacular takes its settings from one place, for every schema of the site.
_settings_lock = Lock()


@cache
def describe(prefix: str) -> JsonSchema:
    """Return the schema for a site whose URLs begin with this prefix; made once.

    It is in English, as all that programs read here.
    """
    own = {
        "TITLE": "SuperOffice audit trail",
        "VERSION": __version__,
        "DESCRIPTION": DESCRIPTION,
        "SERVERS": [{"url": prefix.rstrip("/")}] if prefix != "/" else [],
    }
    usual = {
        name: value
        for name, value in SPECTACULAR_DEFAULTS.items()
        if not name.startswith("SERVE_") and name != "DEFAULT_GENERATOR_CLASS"
    }
    with _settings_lock, patched_settings(usual | own), translation.override("en"):
        return dict(TrailGenerator().get_schema(public=True))


class SchemaView(TrailView):
    """This API, in OpenAPI 3."""

    schema = None
    queryset = Event.objects.none()  # says which permission to ask for
    renderer_classes: Any = (OpenApiJsonRenderer2,)
    trail_scope = "superoffice_schema"

    def get(self, request: Request) -> Response:
        """Answer with the schema."""
        refuse_unknown(request, ())
        return Response(describe(get_script_prefix()))


class DocsView(SchemaView):
    """The page on which the API can be read and tried, or its script: Swagger UI.

    It loads nothing from elsewhere, and has neither inline script nor inline style.
    """

    renderer_classes = (TemplateHTMLRenderer,)
    template_name = "superoffice_hooks/api/docs.html"
    content_type = "text/html; charset=utf-8"

    def get(self, request: Request) -> Response:
        """Answer with the template."""
        refuse_unknown(request, ())
        return Response(template_name=self.template_name, content_type=self.content_type)


urlpatterns = [path("schema/", SchemaView.as_view(), name="schema")]
if apps.is_installed("drf_spectacular_sidecar"):
    script = {"template_name": "superoffice_hooks/api/docs.js", "content_type": "text/javascript"}
    urlpatterns += [
        path("schema/docs/", DocsView.as_view(), name="schema-docs"),
        path("schema/docs/script.js", DocsView.as_view(**script), name="schema-script"),
    ]
