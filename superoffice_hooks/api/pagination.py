"""How the API pages through a list: from a place in it, without counting."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.serializers import IntegerField
from rest_framework.utils.urls import replace_query_param

from superoffice_hooks.trail.place import Place

BACK = "back_"  # the cursor of the page that ends before a place


def read_place(text: str) -> Place:
    """Return the place that a cursor names; raise ``ValidationError`` where it names none."""
    try:
        return Place.read(text)
    except ValueError:
        message = _("Enter a cursor that this list gave, such as 2026-03-02T09:15:27Z_4711.")
        raise ValidationError({"cursor": [message]}) from None


class TrailPagination(CursorPagination):
    """Pages from a place in the list: no count, and no page costs more than the first.

    REST framework's own cursor counts on from the last different time, and a thousand events of
    one moment are usual. This one is the place itself, the time and the id of the last row, so
    that a program can also make it from a row that it has.
    """

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    page_size_query_description: Any = gettext_lazy("How many rows a page has: 50, at most 200.")
    cursor_query_description: Any = gettext_lazy(
        "Where the page begins, as the links next and previous say it: the time of the row before "
        "it and its id, such as 2026-03-02T09:15:27Z_4711."
    )

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """Return the rows of the page that the request asks for."""
        size = self.get_page_size(request)
        cursor = request.query_params.get(self.cursor_query_param, "")
        order = [str(column) for column in queryset.query.order_by or queryset.model._meta.ordering]
        back = cursor.startswith(BACK)
        if back:
            order = [_reversed(column) for column in order]
        if cursor:
            place = read_place(cursor.removeprefix(BACK))
            queryset = queryset.filter(place.beyond(order[0]))
        rows = list(queryset.order_by(*order)[: size + 1])
        more, rows = len(rows) > size, rows[:size]
        if back:
            rows.reverse()
        field = order[0].removeprefix("-")
        self.here = request.build_absolute_uri()
        self.next = self.previous = None
        if rows and (more or back):
            self.next = str(_place(rows[-1], field))
        if rows and (more if back else cursor):
            self.previous = f"{BACK}{_place(rows[0], field)}"
        return rows

    def get_page_size(self, request: Request) -> int:
        """Return the size that is asked for; refuse what is none, or more than 200."""
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        try:
            field = IntegerField(min_value=1, max_value=self.max_page_size)
            return int(field.run_validation(asked))
        except ValidationError as error:
            raise ValidationError({self.page_size_query_param: error.detail}) from None

    def get_next_link(self) -> str | None:
        """Return the address of the next page, ``None`` on the last."""
        return self._link(self.next)

    def get_previous_link(self) -> str | None:
        """Return the address of the page before this one, ``None`` on the first."""
        return self._link(self.previous)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of a page of rows with this one."""
        address = (
            "https://crm.example.com/superoffice/api/events/?cursor={}2026-03-02T08:33:17Z_4711"
        )
        link = {"type": "string", "format": "uri", "nullable": True}
        properties = {
            "next": link | {"example": address.format("")},
            "previous": link | {"example": address.format(BACK)},
            "results": schema,
        }
        return {"type": "object", "required": [*properties], "properties": properties}

    def _link(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        return replace_query_param(self.here, str(self.cursor_query_param), cursor)


def _reversed(column: str) -> str:
    return column.removeprefix("-") if column.startswith("-") else f"-{column}"


def _place(row: Any, field: str) -> Place:
    # A list in the order of ids has a time in its cursors too: it decides nothing.
    return Place.of(row, "received_at" if field == "id" else field)
