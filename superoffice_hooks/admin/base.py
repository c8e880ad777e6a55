"""What both admin pages are made of: nothing to edit, nothing that counts the whole table."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.trail.facets import choices
from superoffice_hooks.trail.scope import contexts_for


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic for mypy alone
    """Pages through the first 10,000 rows of a list, and counts no further than that.

    The price of a page is then the same for a thousand events and for ten million. What lies
    deeper is reached by a filter.
    """

    limit = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most ``limit``."""
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[: self.limit].count()


class TrailList(ChangeList):
    """A list in the order of its index, and without the columns that no list shows."""

    model_admin: "ReadOnlyAdmin"

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the rows without what may be megabytes in each of them."""
        return super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.unlisted)

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
        css: ClassVar = {"all": ["superoffice_hooks/admin.css"]}

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
        """Allow the lookups of the filters, and no others.

        Django allows every lookup of every local field in the URL, a regular expression too. NUL
        is in no column, and PostgreSQL takes it for an error.
        """
        return lookup in self.allowed_lookups and "\0" not in value

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TrailList]:
        """Return the class of the list."""
        return TrailList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list; a date at the end of the calendar is as wrong as no date."""
        try:
            return super().get_changelist_instance(request)
        except OverflowError as error:
            raise IncorrectLookupParameters(error) from error

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the row, or answer 404 where it does not exist or is out of the user's scope."""
        found = super().get_object(request, object_id)
        if found is None:
            raise Http404
        return found


class FacetFilter(admin.SimpleListFilter):
    """Filters a list by one field, and offers the values that occur in the user's scope."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices, without reading the events."""
        values = choices(self.parameter_name, contexts_for(request.user))
        return [(value, value or _("(empty)")) for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows with the chosen value."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.parameter_name: value})
