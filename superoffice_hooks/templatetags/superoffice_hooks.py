"""The tag that puts the overview on the app's page of the admin."""

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("superoffice_hooks/admin/overview.html", takes_context=True)
def overview(context: template.RequestContext) -> dict[str, Any]:
    """Return what the overview shows to the user of the request."""
    # Only now: Django imports every library of tags, and the site may have no admin.
    from superoffice_hooks.admin.overview import overview

    return {"overview": overview(context.request)}
