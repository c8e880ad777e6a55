"""The actions that export a list: one file for a person, with the manifest in it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ERROR_FLAG, ORDER_VAR, PAGE_VAR
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.forms import BooleanField
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.base import ReadOnlyAdmin, non_atomic
from superoffice_hooks.admin.filters import MomentRangeFilter, is_64_bit_number
from superoffice_hooks.trail.follow import UnsettledError, settled
from superoffice_hooks.trail.selection import Selection

if TYPE_CHECKING:  # imported where it is used: no start needs it
    from superoffice_hooks.trail.export import Export


class ExportActions(ReadOnlyAdmin):
    """Offers the rows of a list as a file to those who may see the list.

    The selected ones, or all that the list finds: not only those that it counts and pages through.
    """

    actions: Sequence[str] = ("export_csv", "export_ndjson")  # type: ignore[assignment]

    @non_atomic
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Answer the list, and its actions; 400 to a selection that no check box made."""
        if not all(map(is_64_bit_number, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise BadRequest
        answer = super().changelist_view(request, extra_context)
        if isinstance(answer, TemplateResponse) and answer.context_data:
            changes = answer.context_data.get("cl")
            if changes and changes.result_count >= changes.paginator.limit:
                # Django says "Select all 5000 events", and selects those that it did not count.
                answer.context_data |= {
                    "module_name": gettext("and all that are not listed"),
                    "selection_note_all": gettext("All selected, also those that are not listed"),
                }
        return answer

    @admin.action(permissions=["view"], description=_("Export selected as CSV"))
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Answer with the selected rows as CSV."""
        return self._export(request, queryset, "csv")

    @admin.action(permissions=["view"], description=_("Export selected as NDJSON"))
    def export_ndjson(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        """Answer with the selected rows as NDJSON."""
        return self._export(request, queryset, "ndjson")

    def _export(
        self, request: HttpRequest, queryset: QuerySet[Any], file_format: str
    ) -> HttpResponseBase | None:
        from superoffice_hooks.trail.export import Export, respond
        from superoffice_hooks.trail.formats import FORMATS

        try:
            until = settled(self.model)
        except UnsettledError:
            text = gettext("Events are being written that are not complete yet. Try again.")
            self.message_user(request, text, messages.ERROR)
            return None
        period = self._period(request)
        selection = Selection(
            queryset,
            until,
            request.user,
            _narrowed_by(request),
            period.after if period else None,
            period.before if period else None,
            request.GET.getlist("context_identifier") or None,
        )
        export = Export(selection, FORMATS[file_format])
        return respond(request, bundle(export), f"{export.name}.zip", "application/zip")

    def _period(self, request: HttpRequest) -> MomentRangeFilter | None:
        """Return the filter of the list that says for which period it was asked."""
        for spec in self.list_filter:
            if isinstance(spec, type) and issubclass(spec, MomentRangeFilter):
                return spec(request, dict(request.GET.lists()), self.model, self)
        return None


def _narrowed_by(request: HttpRequest) -> dict[str, Any]:
    """Return what the rows were chosen by: the list's filters, and the check boxes."""
    chosen: dict[str, Any] = {
        name: values if len(values) > 1 else values[0]
        for name, values in request.GET.lists()
        if name not in (PAGE_VAR, ORDER_VAR, ERROR_FLAG)
    }
    # As Django's own form reads it.
    if not BooleanField(required=False).to_python(request.POST.get("select_across", "0")):
        chosen["id"] = request.POST.getlist(ACTION_CHECKBOX_NAME)
    return chosen


class _Pipe:
    """A file that cannot be rewound; what is written to it is taken out at once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self.parts.append(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        """Return what was written since."""
        taken = b"".join(self.parts)
        self.parts.clear()
        return taken


def bundle(export: "Export") -> Iterator[bytes]:
    """Yield a ZIP archive of the export and its manifest, as it is made.

    The manifest tells of the very bytes that were written before it.
    """
    pipe = _Pipe()
    what = export.selection.source.what
    with (
        closing(iter(export)) as parts,
        ZipFile(pipe, "w", ZIP_DEFLATED) as archive,
    ):
        entry = _entry(export, f"{what}.{export.format.name}")
        with archive.open(entry, "w", force_zip64=True) as file:
            for part in parts:
                file.write(part)
                yield pipe.taken()
        manifest = json.dumps(export.contents.manifest(), ensure_ascii=False, indent=2)
        archive.writestr(_entry(export, "manifest.json"), f"{manifest}\n")
    yield pipe.taken()


def _entry(export: "Export", name: str) -> ZipInfo:
    entry = ZipInfo(name, export.made_at.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
