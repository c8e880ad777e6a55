"""What both admin pages are made of: nothing to edit, nothing that counts the whole table."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import cached_property

from superoffice_hooks.admin.filters import TrailFilter


def non_atomic(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Keep ``ATOMIC_REQUESTS`` off this view, which knows its own transactions."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic for mypy alone
    """Pages through the first 5,000 rows of a list, and counts no further than that.

    The price of a page is then the same for a thousand events and for ten million. What lies
    deeper is reached by a filter. The list is gone through once, for the ids alone: they are
    counted, and the rows of a page are those of its ids.
    """

    object_list: QuerySet[Model]
    limit = 5_000

    @cached_property
    def ids(self) -> list[Any]:
        """The primary keys of the rows in the order of the list, at most ``limit``."""
        return list(self.object_list.values_list("pk", flat=True)[: self.limit])

    @cached_property
    def count(self) -> int:
        """The number of rows, at most ``limit``."""
        return len(self.ids)

    def page(self, number: int | str) -> Any:
        """Return this page."""
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        ids = self.ids[begin : begin + self.per_page]
        rows = self.object_list.filter(pk__in=ids)
        return self._get_page(rows, number, self)  # type: ignore[attr-defined]  # unknown to the stubs


class TrailList(ChangeList):
    """A list in the order of its index, and without the columns that no list shows."""

    model_admin: "ReadOnlyAdmin"

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the rows without what may be megabytes in each of them.

        What a filter cannot read, it says above the list, which is then empty.
        """
        rows = super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.unlisted)
        for spec in self.filter_specs:
            # What an action answers is no page, and what was said to it would wait for the next.
            if isinstance(spec, TrailFilter) and request.method != "POST":
                for name, problem in spec.problems.items():
                    messages.error(request, f"{spec.title} ({name}): {problem}")
        # Django says that it cannot search for NUL, and then lists everything.
        return rows.none() if "\0" in request.GET.get(SEARCH_VAR, "") else rows

    def get_results(self, request: HttpRequest) -> None:
        """Take every page from the paginator; Django asks anew for a list that has only one."""
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list

    @property
    def repeated(self) -> list[tuple[str, str]]:
        """The parameters that Django's search form loses: all but the last of the same name."""
        return [
            (name, value)
            for name, values in self.filter_params.items()
            if name != SEARCH_VAR
            for value in values[:-1]
        ]

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the model's order, turned round where the URL asks for the oldest first.

        Django takes any column from the URL, and sorts the whole table by it.
        """
        newest_first = [str(name) for name in self.lookup_opts.ordering or ()]
        if self.sortable_by and self.params.get(ORDER_VAR) == "0":
            return [name.removeprefix("-") for name in newest_first]
        return newest_first


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy alone
    """Shows rows to those with the ``view`` permission, and offers nobody a way to change them."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions = None
    allowed_lookups: ClassVar[frozenset[str]] = frozenset()
    unlisted: ClassVar[tuple[str, ...]] = ()

    class Media:
        css: ClassVar = {"all": ["superoffice_hooks/admin.css", "superoffice_hooks/filters.css"]}

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer the class's own actions, and none of the whole site's."""
        where = {"action_location": action_location} if action_location else {}  # Django 6.1's
        offered: dict[str, Any] = super().get_actions(request, **where)
        return {name: action for name, action in offered.items() if name in (self.actions or ())}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds: rows come from SuperOffice."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes."""
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the parameters of the filters and ``allowed_lookups``, and no others.

        Django allows every lookup of every local field in the URL, a regular expression too. NUL
        is in no column, and PostgreSQL takes it for an error; our filters know.
        """
        own = [
            spec.parameters()
            for spec in self.list_filter
            if isinstance(spec, type) and issubclass(spec, TrailFilter)
        ]
        if any(lookup in parameters for parameters in own):
            return True
        return lookup in self.allowed_lookups and "\0" not in value

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TrailList]:
        """Return the class of the list."""
        return TrailList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the row, or answer 404 where it does not exist or is out of the user's scope."""
        found = super().get_object(request, object_id)
        if found is None:
            raise Http404
        return found
