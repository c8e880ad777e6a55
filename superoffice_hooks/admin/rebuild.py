"""The action that derives the rows of events again from the deliveries that recorded them."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from superoffice_hooks.admin.export import ExportActions

if TYPE_CHECKING:  # imported where it is used: no start needs it
    from superoffice_hooks.intake.rebuild import Difference

MAX_AT_ONCE = 500  # events that one click rebuilds; a request must end


class RebuildAction(ExportActions):
    """Offers to rebuild events, to those who may have a delivery processed again."""

    actions = (*ExportActions.actions, "rebuild")

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        """Whether this user may have the rows of an event derived again."""
        return self.has_view_permission(request) and request.user.has_perm(
            "superoffice_hooks.reprocess_delivery"
        )

    @admin.action(permissions=["reprocess"], description=_("Rebuild from its delivery"))
    def rebuild(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Rebuild the selected events, the oldest first, and say what differed."""
        from superoffice_hooks.intake.rebuild import rebuild

        events = queryset.prefetch_related(None).order_by("id").only("pk", "name", "primary_key")
        chosen = {event.pk: event for event in events[: MAX_AT_ONCE + 1]}
        same, columns, left = 0, Counter[str](), Counter[str]()
        rebuilt = 0
        for difference in rebuild(list(chosen)[:MAX_AT_ONCE], write=True):
            if difference.error is not None:
                left[gettext("The database could not take it.")] += 1
            elif difference.problem is not None:
                left[str(difference.problem.label)] += 1
            elif difference.changes:
                rebuilt += 1
                columns.update(_columns(difference))
                event = chosen[difference.event_pk]
                self.log_change(request, event, f"Rebuilt: {', '.join(_columns(difference))}.")
            else:
                same += 1
        for level, text in _told(same, rebuilt, columns, left):
            self.message_user(request, text, level)
        if len(chosen) > MAX_AT_ONCE:
            text = gettext(
                "Only the oldest %(count)d were processed. Choose the action again for the others."
            )
            self.message_user(request, text % {"count": MAX_AT_ONCE}, messages.WARNING)


def _columns(difference: "Difference") -> list[str]:
    return list(dict.fromkeys(change.column for change in difference.changes))


def _told(
    same: int, rebuilt: int, columns: Counter[str], left: Counter[str]
) -> list[tuple[int, str]]:
    """Return messages with their levels; no values."""
    told = []
    if same or not (rebuilt or left):
        text = ngettext(
            "%(count)d event is as its delivery gives it.",
            "%(count)d events are as their deliveries give them.",
            same,
        )
        told.append((messages.INFO, text % {"count": same}))
    if rebuilt:
        text = ngettext(
            "%(count)d event was rebuilt from its delivery; what differed: %(columns)s.",
            "%(count)d events were rebuilt from their deliveries; what differed: %(columns)s.",
            rebuilt,
        )
        named = ", ".join(f"{column} ({count})" for column, count in columns.most_common())
        told.append((messages.SUCCESS, text % {"count": rebuilt, "columns": named}))
    for reason, count in left.most_common():
        text = ngettext(
            "%(count)d event was left as it is: %(reason)s",
            "%(count)d events were left as they are: %(reason)s",
            count,
        )
        told.append((messages.ERROR, text % {"count": count, "reason": reason}))
    return told
