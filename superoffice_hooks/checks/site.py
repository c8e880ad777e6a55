"""Whether a delivery reaches the webhook: redirects, host names, URL patterns."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections, router
from django.urls import (
    NoReverseMatch,
    Resolver404,
    URLResolver,
    get_resolver,
    get_script_prefix,
    resolve,
    reverse,
)

from superoffice_hooks.models import Event


def check_redirects(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W004: a redirect before the webhook, which SuperOffice counts as a failure."""
    messages: list[CheckMessage] = []
    redirects_to_tls = (
        "django.middleware.security.SecurityMiddleware" in settings.MIDDLEWARE
        and settings.SECURE_SSL_REDIRECT
        and not _exempt_from_tls()
    )
    if redirects_to_tls and not settings.SECURE_PROXY_SSL_HEADER:
        messages.append(
            Warning(
                "SECURE_SSL_REDIRECT is on without SECURE_PROXY_SSL_HEADER: behind a proxy that "
                "ends TLS, SuperOffice is redirected and counts a failure.",
                hint='Set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if the '
                "proxy sends that header, or silence this check if Django itself ends TLS.",
                id="superoffice_hooks.W004",
            )
        )
    if "django.middleware.common.CommonMiddleware" in settings.MIDDLEWARE and settings.PREPEND_WWW:
        messages.append(
            Warning(
                "PREPEND_WWW redirects a delivery to any host name without www., and SuperOffice "
                "counts a failure.",
                hint="Register the webhook in SuperOffice with a URL that begins with "
                "https://www., and silence this check.",
                id="superoffice_hooks.W004",
            )
        )
    return messages


def check_hosts(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W006: Django refuses every request, deliveries too, before the webhook sees it."""
    if settings.DEBUG or settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS is empty and DEBUG is off: every delivery is answered 400.",
            hint="List the host name of the URL under which the webhook is registered.",
            id="superoffice_hooks.W006",
        )
    ]


def check_urls(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W005: the webhook has no URL, or one of its forms leads elsewhere."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    try:
        url = _webhook_url()
    except NoReverseMatch:
        return [
            Warning(
                "The webhook has no URL on this site.",
                hint='Add path("superoffice/", include("superoffice_hooks.urls")) to urlpatterns.',
                id="superoffice_hooks.W005",
            )
        ]
    return [
        Warning(
            f"{form} does not reach the webhook: another URL pattern comes first"
            f"{', or APPEND_SLASH redirects it' if not form.endswith('/') else ''}.",
            hint='Move path("superoffice/", include("superoffice_hooks.urls")) up in urlpatterns.',
            id="superoffice_hooks.W005",
        )
        for form in (url, url.rstrip("/"))
        if not _reaches_webhook(form)
    ]


def check_transactions(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E008: ATOMIC_REQUESTS holds for the webhook, because the site has wrapped its view.

    A delivery commits before it is answered; in a transaction of the request it cannot.
    """
    alias = router.db_for_write(Event)
    if not connections[alias].settings_dict.get("ATOMIC_REQUESTS"):
        return []
    try:
        view = resolve(_webhook_url()).func
    except (NoReverseMatch, Resolver404):
        return []  # W005 says it
    if alias in getattr(view, "_non_atomic_requests", ()):
        return []
    return [
        Error(
            "ATOMIC_REQUESTS wraps the webhook in a transaction: no delivery can be stored.",
            hint="What wraps the view must pass on its attributes: decorate it with "
            "functools.wraps(view), or put "
            f'django.db.transaction.non_atomic_requests(using="{alias}") around it.',
            id="superoffice_hooks.E008",
        )
    ]


def _webhook_url() -> str:
    return _reversed().removeprefix(get_script_prefix().rstrip("/"))


def _reversed() -> str:
    # Of the whole site, reverse() would compile every pattern that it has: at every start.
    return reverse("superoffice_hooks:webhook", _webhooks_of(get_resolver()))


@lru_cache(1)  # Django keeps for ever what it reverses in
def _webhooks_of(resolver: URLResolver) -> Any:
    return _webhooks(resolver.url_patterns)


def _webhooks(patterns: Iterable[Any]) -> tuple[Any, ...]:
    """Return the tree of these patterns with no others in it than those of that name."""
    return tuple(
        URLResolver(
            each.pattern,
            _webhooks(each.url_patterns),
            each.default_kwargs,
            each.app_name,
            each.namespace,
        )
        if isinstance(each, URLResolver)
        else each
        for each in patterns
        if isinstance(each, URLResolver) or each.name == "webhook"
    )


def _reaches_webhook(url: str) -> bool:
    from superoffice_hooks.intake.view import WebhookView

    try:
        match = resolve(url)
    except Resolver404:
        return False
    # What a site has wrapped tells its class, where it passes on the attributes.
    is_view = getattr(match.func, "view_class", None) is WebhookView
    return is_view or match.view_name.endswith("superoffice_hooks:webhook")


def _exempt_from_tls() -> bool:
    try:
        path = _reversed().lstrip("/")
    except NoReverseMatch:
        return False
    return any(re.search(pattern, path) for pattern in settings.SECURE_REDIRECT_EXEMPT)
