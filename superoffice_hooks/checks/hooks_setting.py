"""What the setting SUPEROFFICE_HOOKS says: its keys, its values, its secrets."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import slug_re

from superoffice_hooks.conf import KEYS, SETTING, Endpoint, conf

# A key shorter than the hash's output, 32 bytes, weakens HMAC-SHA256 (RFC 2104, section 3).
MIN_SECRET_BYTES = 32


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
    for name in (
        "max_body_bytes",
        "endpoints",
        "contexts_for_user",
        "associate_name",
        "integration_users",
        "record_urls",
        "technical_fields",
        "spool_dir",
        "store_timeout",
        "refused_sample",
    ):
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


def _endpoints() -> list[Endpoint] | None:
    """Return the endpoints that the settings list; ``None`` where they cannot be listed."""
    try:
        endpoints = conf.endpoints
    except ImproperlyConfigured:
        return None
    return list(endpoints.values()) if isinstance(endpoints, Mapping) else None


def _nearest(key: Any) -> str:
    return (difflib.get_close_matches(str(key).upper(), KEYS, n=1, cutoff=0.0) or KEYS)[0]
