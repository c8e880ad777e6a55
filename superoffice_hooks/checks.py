"""System checks: what ``manage.py check`` says before SuperOffice finds out.

Ids are listed in the README and never used again for anything else.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import slug_re
from django.db import connections, router
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse

from superoffice_hooks.conf import KEYS, SETTING, Endpoint, conf
from superoffice_hooks.models import Event

# A key shorter than the hash's output, 32 bytes, weakens HMAC-SHA256 (RFC 2104, section 3).
MIN_SECRET_BYTES = 32


def register() -> None:
    """Register every check of this module with Django."""
    for check in CHECKS:
        checks.register(check, "superoffice_hooks")
    checks.register(check_packet, "superoffice_hooks", checks.Tags.database)


def check_keys(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001: a key that no version of the app reads."""
    try:
        unknown = [key for key in conf.raw if key not in KEYS]
    except ImproperlyConfigured:
        return []  # E002 says it
    return [
        Error(
            f'{SETTING} has an unknown key "{key}".',
            hint=f"Did you mean {_nearest(key)}? Known keys: {', '.join(KEYS)}.",
            id="superoffice_hooks.E001",
        )
        for key in unknown
    ]


def check_values(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E002: a value of the wrong type, or a dotted path that does not import."""
    errors: list[CheckMessage] = []
    for name in ("max_body_bytes", "endpoints", "contexts_for_user"):
        try:
            getattr(conf, name)
        except ImproperlyConfigured as error:
            if str(error) not in [said.msg for said in errors]:
                errors.append(
                    Error(
                        str(error),
                        hint=f"Correct it in {SETTING}; the README lists every key with its type.",
                        id="superoffice_hooks.E002",
                    )
                )
    return errors


def check_endpoints(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W001: nothing would be accepted. E004: a bad name.

    E003: a blank secret. W002: a short one. W007: one with white space around it.

    Endpoints behind a callable cannot be listed, and are not judged.
    """
    endpoints = _endpoints()
    if endpoints is None:
        return []
    messages: list[CheckMessage] = []
    for endpoint in endpoints:
        messages += _judge(endpoint)
    if not any(secret.strip() for endpoint in endpoints for secret in endpoint.secrets):
        messages.append(
            Warning(
                "No endpoint has a secret: every delivery will be refused.",
                hint=f'Set {SETTING} = {{"SECRETS": [os.environ["SUPEROFFICE_WEBHOOK_SECRET"]]}} '
                "and register the webhook in SuperOffice with the same secret.",
                id="superoffice_hooks.W001",
            )
        )
    return messages


def _judge(endpoint: Endpoint) -> Iterable[CheckMessage]:
    if not (isinstance(endpoint.name, str) and slug_re.fullmatch(endpoint.name)):
        yield Error(
            f'The endpoint name "{endpoint.name}" cannot stand in a URL.',
            hint="Use letters, digits, hyphens and underscores.",
            id="superoffice_hooks.E004",
        )
    for position, secret in enumerate(endpoint.secrets, 1):
        if not secret.strip():
            yield Error(
                f'Secret {position} of the endpoint "{endpoint.name}" is blank.',
                hint="Remove it, or set the environment variable that it is read from. A blank "
                "secret never matches and never means that verification is skipped.",
                id="superoffice_hooks.E003",
            )
        elif secret != secret.strip():
            yield Warning(
                f'Secret {position} of the endpoint "{endpoint.name}" begins or ends with white '
                "space.",
                hint="A file's last line break is the usual cause: read it with .strip(). "
                "SuperOffice's secret would need the same white space.",
                id="superoffice_hooks.W007",
            )
        elif len(secret.encode("utf-8", "replace")) < MIN_SECRET_BYTES:
            yield Warning(
                f'Secret {position} of the endpoint "{endpoint.name}" is shorter than '
                f"{MIN_SECRET_BYTES} bytes.",
                hint='Make one with python -c "import secrets; print(secrets.token_urlsafe(32))", '
                "list it first, and remove the old one once SuperOffice signs with the new.",
                id="superoffice_hooks.W002",
            )


def check_sqlite(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """W003: SQLite with options under which writers fail or a 200 may not survive a power cut."""
    connection = connections[router.db_for_write(Event)]
    if connection.vendor != "sqlite":
        return []
    options = connection.settings_dict.get("OPTIONS", {})
    mode = str(options.get("transaction_mode", "")).upper()
    pragmas = re.sub(r"\s", "", str(options.get("init_command", ""))).lower()
    missing = [
        name
        for name, given in (
            ('"transaction_mode": "IMMEDIATE"', mode == "IMMEDIATE"),
            ("journal_mode=WAL", "journal_mode=wal" in pragmas),
            ("synchronous=FULL", re.search(r"synchronous=(full|extra|2|3)\b", pragmas)),
        )
        if not given
    ]
    if not missing:
        return []
    return [
        Warning(
            f"SQLite is used without {', '.join(missing)}: "
            + (
                "a delivery that was answered 200 may be lost in a power cut."
                if missing == ["synchronous=FULL"]
                else 'simultaneous deliveries can fail with "database is locked".'
            ),
            hint=f'In DATABASES["{connection.alias}"] set "OPTIONS": {{"transaction_mode": '
            '"IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"}}.',
            id="superoffice_hooks.W003",
        )
    ]


def check_autocommit(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E006: without AUTOCOMMIT a delivery would be answered 200 before it is committed."""
    connection = connections[router.db_for_write(Event)]
    if connection.settings_dict.get("AUTOCOMMIT", True):
        return []
    return [
        Error(
            f'DATABASES["{connection.alias}"] has AUTOCOMMIT off: a delivery would be answered '
            "200 and then be lost.",
            hint="Remove AUTOCOMMIT, or route superoffice_hooks to a database of its own.",
            id="superoffice_hooks.E006",
        )
    ]


def check_packet(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W008: MariaDB refuses statements that are larger than one packet. Asks the database."""
    alias = router.db_for_write(Event)
    connection = connections[alias]
    if connection.vendor != "mysql" or alias not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        packet = int(cursor.fetchone()[0])
    try:
        needed = 4 * conf.max_body_bytes  # so much can escaping and rewriting numbers add
    except ImproperlyConfigured:
        return []  # E002 says it
    if packet >= needed:
        return []
    return [
        Warning(
            f"max_allowed_packet is {packet} bytes: a body of MAX_BODY_BYTES may not fit, and is "
            "quarantined, or answered 503.",
            hint=f"Set max_allowed_packet = {needed} in the server's configuration, or lower "
            f'{SETTING}["MAX_BODY_BYTES"] to {packet // 4}.',
            id="superoffice_hooks.W008",
        )
    ]


def check_time_zones(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """E005: without USE_TZ no moment of the trail could be stored."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is off: the trail keeps moments in UTC, and every delivery would be turned "
            "away with 503.",
            hint="Set USE_TZ = True, Django's default.",
            id="superoffice_hooks.E005",
        )
    ]


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
        url = reverse("superoffice_hooks:webhook").removeprefix(get_script_prefix().rstrip("/"))
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


def _reaches_webhook(url: str) -> bool:
    try:
        return resolve(url).view_name.endswith("superoffice_hooks:webhook")
    except Resolver404:
        return False


def _exempt_from_tls() -> bool:
    try:
        path = reverse("superoffice_hooks:webhook").lstrip("/")
    except NoReverseMatch:
        return False
    return any(re.search(pattern, path) for pattern in settings.SECURE_REDIRECT_EXEMPT)


def _endpoints() -> list[Endpoint] | None:
    """Return the endpoints that the settings list; ``None`` where they cannot be listed."""
    try:
        endpoints = conf.endpoints
    except ImproperlyConfigured:
        return None
    return list(endpoints.values()) if isinstance(endpoints, Mapping) else None


def _nearest(key: Any) -> str:
    return (difflib.get_close_matches(str(key).upper(), KEYS, n=1, cutoff=0.0) or KEYS)[0]


CHECKS = (
    check_keys,
    check_values,
    check_endpoints,
    check_sqlite,
    check_autocommit,
    check_time_zones,
    check_redirects,
    check_hosts,
    check_urls,
)
