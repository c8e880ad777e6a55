"""``api/events/follow/``: new events, each exactly once."""

import re
from typing import cast

from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from superoffice_hooks.api.base import TrailView, non_atomic
from superoffice_hooks.api.filters import StrictFilterBackend, UnorderedEventFilter
from superoffice_hooks.api.pagination import TrailPagination
from superoffice_hooks.api.serializers import EventSerializer
from superoffice_hooks.models import Event
from superoffice_hooks.models.event import EventQuerySet
from superoffice_hooks.trail.follow import UnsettledError, follow, settled
from superoffice_hooks.trail.scope import events_for

LATEST = "latest"  # the cursor of those who want nothing that is there already


class Unsettled(APIException):  # as REST framework calls its answers
    """503: somebody is writing events, and which come next is not known yet."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    wait = 5  # seconds, which REST framework sends as Retry-After


@method_decorator(non_atomic, name="dispatch")
class FollowView(TrailView, GenericAPIView[Event]):
    """The next events in the order in which they can be followed, each exactly once.

    Begin without a cursor, or with ``cursor=latest`` for what is yet to come, and go on with
    ``next``, which is always there. ``more`` says whether to go on at once. An answer can be empty
    and have more.
    """

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filter_backends = (StrictFilterBackend,)
    filterset_class = UnorderedEventFilter
    other_parameters = ("cursor", "page_size")
    trail_scope = "superoffice_follow"

    def get_queryset(self) -> EventQuerySet:
        """Return the events in the user's scope, with their rows."""
        return events_for(self.request.user).with_rows()

    def get(self, request: Request) -> Response:
        """Answer with the events that come after the cursor."""
        size = TrailPagination().get_page_size(request)
        events = cast(EventQuerySet, self.filter_queryset(self.get_queryset()))
        cursor = request.query_params.get("cursor", "0")
        try:
            after = settled() if cursor == LATEST else _read_id(cursor)
            batch = follow(events, after, size)
        except UnsettledError as error:
            raise Unsettled(str(error)) from error
        except ValueError as error:
            raise ValidationError({"cursor": [str(error)]}) from None
        return Response(
            {
                "next": replace_query_param(
                    request.build_absolute_uri(), "cursor", str(batch.last)
                ),
                "more": batch.more,
                "results": self.get_serializer(batch.events, many=True).data,
            }
        )


def _read_id(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise ValueError(_("Enter latest, or the cursor of a link that was given."))
    return int(text)
