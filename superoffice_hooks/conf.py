"""The settings, each read live through one typed property that holds its default.

::

    SUPEROFFICE_HOOKS = {"SECRETS": [os.environ["SUPEROFFICE_WEBHOOK_SECRET"]]}
    SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": ["new", "old"], "CONTEXTS": ["Cust1"]}}}
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

SETTING = "SUPEROFFICE_HOOKS"
DEFAULT_ENDPOINT = "default"
KEYS = ("SECRETS", "ENDPOINTS", "MAX_BODY_BYTES", "CONTEXTS_FOR_USER")
ENDPOINT_KEYS = ("SECRETS", "CONTEXTS")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One webhook URL: who may post to it, and which tenants it takes.

    ``secrets`` are the active ones, two while one replaces the other. ``contexts`` are the
    context identifiers that are accepted, ``None`` for any.
    """

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    contexts: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Refuse, with ``ImproperlyConfigured``, one text where a list of them is meant."""
        where = f"Endpoint {self.name!r}:"
        object.__setattr__(self, "secrets", _texts(f"{where} secrets", self.secrets))
        if self.contexts is not None:
            contexts = frozenset(_texts(f"{where} contexts", self.contexts))
            object.__setattr__(self, "contexts", contexts)

    def takes(self, context_identifier: str) -> bool:
        """Whether an event of this tenant may enter by this endpoint."""
        return self.contexts is None or context_identifier in self.contexts


class Settings:
    """``settings.SUPEROFFICE_HOOKS``, key by key; raises ``ImproperlyConfigured`` for nonsense."""

    @property
    def raw(self) -> Mapping[str, Any]:
        """The dict as the site wrote it; empty where the setting is missing."""
        value = getattr(settings, SETTING, {})
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f"{SETTING} must be a dict.")
        return value

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is read, in bytes; default 10 MiB."""
        value = self.raw.get("MAX_BODY_BYTES", 10 * 1024 * 1024)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ImproperlyConfigured(f'{SETTING}["MAX_BODY_BYTES"] must be a positive integer.')
        return value

    @property
    def endpoints(self) -> Mapping[str, Endpoint] | Callable[[str], Endpoint | None]:
        """The endpoints by name, or the callable that finds one by its name.

        Plain ``SECRETS`` are the endpoint ``default``, for any tenant.
        """
        configured = self.raw.get("ENDPOINTS", {})
        if isinstance(configured, str):
            configured = _import("ENDPOINTS", configured)
        if callable(configured):
            return cast(Callable[[str], Endpoint | None], configured)
        if not isinstance(configured, Mapping):
            raise ImproperlyConfigured(
                f'{SETTING}["ENDPOINTS"] must be a dict of endpoints, or the dotted path of a '
                "callable that returns one by its name."
            )
        endpoints = {name: _endpoint(name, options) for name, options in configured.items()}
        if "SECRETS" in self.raw:
            if DEFAULT_ENDPOINT in endpoints:
                raise ImproperlyConfigured(
                    f'{SETTING} configures the endpoint "{DEFAULT_ENDPOINT}" twice: by SECRETS '
                    "and in ENDPOINTS."
                )
            endpoints[DEFAULT_ENDPOINT] = _endpoint(DEFAULT_ENDPOINT, self.raw, top=True)
        return endpoints

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint of this name, or ``None`` where there is none."""
        endpoints = self.endpoints
        if isinstance(endpoints, Mapping):
            return endpoints.get(name)
        if name == DEFAULT_ENDPOINT and "SECRETS" in self.raw:
            return _endpoint(DEFAULT_ENDPOINT, self.raw, top=True)
        return endpoints(name)

    @property
    def contexts_for_user(self) -> Callable[[Any], Iterable[str] | None]:
        """What tells which tenants a user may see: context identifiers, ``None`` for all.

        Default: every user with the ``view`` permission sees all of them.
        """
        path = self.raw.get("CONTEXTS_FOR_USER")
        if path is None:
            return _all_contexts
        found = _import("CONTEXTS_FOR_USER", path) if isinstance(path, str) else path
        if not callable(found):
            raise ImproperlyConfigured(
                f'{SETTING}["CONTEXTS_FOR_USER"] must be a callable that takes a user, or its '
                "dotted path."
            )
        return cast(Callable[[Any], Iterable[str] | None], found)


def _all_contexts(user: Any) -> None:
    """Every tenant."""


def _import(key: str, path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'{SETTING}["{key}"]: {path!r} cannot be imported ({error}).'
        ) from error


def _endpoint(name: str, options: Any, *, top: bool = False) -> Endpoint:
    where = SETTING if top else f'{SETTING}["ENDPOINTS"]["{name}"]'
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f'{where} must be a dict such as {{"SECRETS": ["…"]}}.')
    if not top and (unknown := [key for key in options if key not in ENDPOINT_KEYS]):
        raise ImproperlyConfigured(f"{where} has an unknown key {unknown[0]!r}.")
    secrets = _texts(f'{where}["SECRETS"]', options.get("SECRETS", ()))
    contexts = None if top else options.get("CONTEXTS")
    if contexts is not None:
        contexts = frozenset(_texts(f'{where}["CONTEXTS"]', contexts))
    return Endpoint(name, secrets, contexts)


def _texts(where: str, value: Any) -> tuple[str, ...]:
    # A single string is the likely slip, and would be a sequence of one-letter secrets.
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(text, str) for text in value
    ):
        raise ImproperlyConfigured(f"{where} must be a list of strings.")
    return tuple(value)


conf = Settings()
