"""What every resource of the API has: who may read it, how often, and in which form."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar, cast

from django.db import connections, transaction
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle, ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet

from superoffice_hooks.api.filters import StrictFilterBackend
from superoffice_hooks.api.pagination import TrailPagination

Row = TypeVar("Row", bound=Model)

SAFE_INTEGER = 2**53 - 1  # the largest that JavaScript tells from its neighbours


class ViewPermission(DjangoModelPermissions):
    """Asks for the model's ``view`` permission; Django REST framework asks for none on GET."""

    perms_map = {  # noqa: RUF012  # as REST framework declares it
        method: ["%(app_label)s.view_%(model_name)s"] for method in ("GET", "HEAD", "OPTIONS")
    }

    def _queryset(self, view: Any) -> Any:
        """Return rows of the model; the user's own are asked for once this is passed."""
        return view.queryset


class TrailThrottle(ScopedRateThrottle):
    """Limits a resource to the rate that the site sets for its scope, if it sets one.

    The scope is the resource's ``trail_scope``. REST framework's own class fails where a scope has
    no rate, and would do so here for every site that uses it for views of its own.
    """

    scope_attr = "trail_scope"

    def get_rate(self) -> str | None:
        """Return the rate of this scope in ``DEFAULT_THROTTLE_RATES``, ``None`` for no limit."""
        return cast(str | None, api_settings.DEFAULT_THROTTLE_RATES.get(str(self.scope)))


class TrailRenderer(JSONRenderer):
    """JSON in which an integer beyond 2^53-1 is a string (RFC 7493): JavaScript would round it."""

    def render(self, data: Any, *arguments: Any, **options: Any) -> Any:
        """Return the bytes."""
        return super().render(_interoperable(data), *arguments, **options)


def _interoperable(data: Any) -> Any:
    if isinstance(data, int):
        return data if -SAFE_INTEGER <= data <= SAFE_INTEGER else str(data)
    if isinstance(data, dict):
        return {key: _interoperable(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_interoperable(value) for value in data]
    return data


class OneRepresentation(BaseContentNegotiation):
    """Gives every resource in its one form, whatever ``Accept`` says."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


def non_atomic(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Keep ``ATOMIC_REQUESTS`` off: what follows the trail has to see what commits meanwhile."""
    for alias in connections:
        dispatch = transaction.non_atomic_requests(using=alias)(dispatch)
    return dispatch


class TrailView(APIView):
    """A resource that is only read.

    ``other_parameters`` are those of its query that are no filters.
    """

    permission_classes = (ViewPermission,)
    renderer_classes = (TrailRenderer,)
    parser_classes = ()
    content_negotiation_class = OneRepresentation
    versioning_class = None  # a site's own would ask its version of ours
    http_method_names = ["get", "head", "options"]  # noqa: RUF012  # as Django declares it
    other_parameters: ClassVar[tuple[str, ...]] = ()
    trail_scope: ClassVar[str]

    def get_throttles(self) -> list[BaseThrottle]:
        """Return the site's throttles, and that of the resource's scope."""
        return [*super().get_throttles(), TrailThrottle()]

    def finalize_response(
        self, request: Request, response: Any, *arguments: Any, **options: Any
    ) -> Any:
        """Mark the answer as the reader's own, and answer 304 to who has it already."""
        response = super().finalize_response(request, response, *arguments, **options)
        is_read = request.method in ("GET", "HEAD") and response.status_code == 200
        if is_read and not response.streaming:
            patch_cache_control(response, private=True, no_cache=True)
            response.add_post_render_callback(_unless_known(request._request))
        return response


class RowViewSet(TrailView, ReadOnlyModelViewSet[Row]):
    """A list of rows that is filtered and paged, and each of them alone."""

    pagination_class = TrailPagination
    filter_backends = (StrictFilterBackend,)

    @property
    def other_parameters(self) -> tuple[str, ...]:  # type: ignore[override]  # of each action
        """The parameters that are no filters."""
        return ("cursor", "page_size") if self.action == "list" else ()


def _unless_known(request: HttpRequest) -> Callable[[Any], HttpResponseBase | None]:
    def unless_known(response: Any) -> HttpResponseBase | None:
        set_response_etag(response)
        known: HttpResponseBase | None = get_conditional_response(
            request, etag=response["ETag"], response=response
        )
        return known

    return unless_known
