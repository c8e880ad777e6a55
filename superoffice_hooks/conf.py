"""The settings, each read live through one typed property that holds its default.

::

    SUPEROFFICE_HOOKS = {"SECRETS": [os.environ["SUPEROFFICE_WEBHOOK_SECRET"]]}
    SUPEROFFICE_HOOKS = {"ENDPOINTS": {"acme": {"SECRETS": ["new", "old"], "CONTEXTS": ["Cust1"]}}}
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.module_loading import import_string

from superoffice_hooks.wire.catalog import TECHNICAL_FIELDS

Item = TypeVar("Item", str, int)
SETTING = "SUPEROFFICE_HOOKS"
DEFAULT_ENDPOINT = "default"
KEYS = (
    "SECRETS",
    "ENDPOINTS",
    "MAX_BODY_BYTES",
    "CONTEXTS_FOR_USER",
    "ASSOCIATE_NAME",
    "INTEGRATION_USERS",
    "RECORD_URLS",
    "TECHNICAL_FIELDS",
    "SPOOL_DIR",
    "STORE_TIMEOUT",
    "REFUSED_SAMPLE",
)
ENDPOINT_KEYS = ("SECRETS", "CONTEXTS")
RECORD_PARTS = ("context_identifier", "entity", "primary_key")
MAX_SECONDS = 60.0


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


@dataclass(frozen=True, slots=True)
class RefusedSample:
    """How much is kept of what an endpoint refused: the bounds hold for each endpoint."""

    count: int = 1_000
    bytes: int = 16 * 1024 * 1024
    days: int = 30


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
        configured = self._configured_endpoints
        if not isinstance(configured, Mapping):
            return configured
        endpoints = {name: _endpoint(name, options) for name, options in configured.items()}
        if "SECRETS" in self.raw:
            endpoints[DEFAULT_ENDPOINT] = _endpoint(DEFAULT_ENDPOINT, self.raw, top=True)
        return endpoints

    @property
    def _configured_endpoints(self) -> Mapping[str, Any] | Callable[[str], Endpoint | None]:
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
        if "SECRETS" in self.raw and DEFAULT_ENDPOINT in configured:
            raise ImproperlyConfigured(
                f'{SETTING} configures the endpoint "{DEFAULT_ENDPOINT}" twice: by SECRETS '
                "and in ENDPOINTS."
            )
        return configured

    def endpoint(self, name: str, *, is_away: bool = False) -> Endpoint | None:
        """Return the endpoint of this name, or ``None`` where there is none.

        A callable that cannot ask its database is taken at what it said last in this process:
        an outage must not cost the deliveries. With ``is_away`` it is not even asked, because the
        database is known to be away. Raises what it raises where it has said nothing.
        """
        endpoints = self._configured_endpoints
        if name == DEFAULT_ENDPOINT and "SECRETS" in self.raw:
            return _endpoint(DEFAULT_ENDPOINT, self.raw, top=True)
        if isinstance(endpoints, Mapping):
            # The others are not looked at: there may be hundreds.
            return _endpoint(name, endpoints[name]) if name in endpoints else None
        said = _last_found.get((endpoints, name))
        if is_away and said is not None:
            return said
        try:
            found = endpoints(name)
        except DatabaseError:
            if said is None:
                raise
            return said
        if found is None:
            _last_found.pop((endpoints, name), None)
        else:
            _last_found[endpoints, name] = found
        return found

    @property
    def contexts_for_user(self) -> Callable[[Any], Iterable[str] | None]:
        """What tells which tenants a user may see: context identifiers, ``None`` for all.

        Default: every user with the ``view`` permission sees all of them.
        """
        found = self._callable("CONTEXTS_FOR_USER", "takes a user")
        return cast(Callable[[Any], Iterable[str] | None], found or _all_contexts)

    @property
    def associate_name(self) -> Callable[[str, int], str | None]:
        """What gives an associate's name from the context identifier and the associate's id.

        Default: nobody's name is known.
        """
        found = self._callable("ASSOCIATE_NAME", "takes a context identifier and an associate's id")
        return cast(Callable[[str, int], str | None], found or _no_name)

    @property
    def integration_users(self) -> Callable[[str], Iterable[int]]:
        """What gives the ids of a tenant's associates that are programs; default: none."""
        value = self.raw.get("INTEGRATION_USERS", {})
        if isinstance(value, str) or callable(value):
            found = self._callable("INTEGRATION_USERS", "takes a context identifier")
            return cast(Callable[[str], Iterable[int]], found)
        listed = self._dict(
            "INTEGRATION_USERS",
            "a dict of lists of associates' ids by context identifier, or the dotted path of a "
            "callable that takes one",
        )
        ids = {
            context: _items(f'{SETTING}["INTEGRATION_USERS"]["{context}"]', items, int)
            for context, items in listed.items()
        }
        return lambda context_identifier: ids.get(context_identifier, ())

    @property
    def record_urls(self) -> Mapping[str, str]:
        """The URL of a record in SuperOffice by entity, ``*`` for any other; default: none.

        ``{context_identifier}``, ``{entity}`` and ``{primary_key}`` stand for the record's own.
        """
        urls = self._dict("RECORD_URLS", "a dict of URLs by entity")
        for entity, url in urls.items():
            where = f'{SETTING}["RECORD_URLS"]["{entity}"]'
            if not isinstance(url, str) or not url.startswith(("https://", "http://")):
                raise ImproperlyConfigured(
                    f"{where} must be a URL that begins with https:// or http://."
                )
            if not _names_only_the_record(url):
                raise ImproperlyConfigured(
                    f"{where} may name {{context_identifier}}, {{entity}} and {{primary_key}}, and "
                    "nothing else in braces."
                )
        return urls

    @property
    def technical_fields(self) -> Mapping[str, tuple[str, ...]]:
        """The fields that SuperOffice itself keeps, by entity, ``*`` for every entity.

        A ``*`` in a name stands for any letters. What the site gives for an entity takes the
        place of the default for it.
        """
        fields = self._dict("TECHNICAL_FIELDS", "a dict of lists of field names by entity")
        return TECHNICAL_FIELDS | {
            entity: _texts(f'{SETTING}["TECHNICAL_FIELDS"]["{entity}"]', names)
            for entity, names in fields.items()
        }

    @property
    def spool_dir(self) -> Path | None:
        """The folder for deliveries that the database cannot take; default: none is kept."""
        value = self.raw.get("SPOOL_DIR")
        if value is None:
            return None
        folder = _path(value) if isinstance(value, str | Path) else None
        if folder is None or not folder.is_absolute():
            raise ImproperlyConfigured(
                f'{SETTING}["SPOOL_DIR"] must be the absolute path of a folder.'
            )
        return folder

    @property
    def store_timeout(self) -> float:
        """How long the database may take for one delivery before it is spooled, in seconds."""
        value = self.raw.get("STORE_TIMEOUT", 0.8)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 < value <= MAX_SECONDS
        ):
            raise ImproperlyConfigured(
                f'{SETTING}["STORE_TIMEOUT"] must be a number of seconds, more than 0 and at most '
                f"{MAX_SECONDS:.0f}."
            )
        return float(value)

    @property
    def refused_sample(self) -> RefusedSample:
        """The bounds of what is kept of wrongly signed deliveries, for each endpoint."""
        bounds = self._dict("REFUSED_SAMPLE", "a dict of bounds such as {'COUNT': 1000}")
        known = {each.name.upper(): each.name for each in fields(RefusedSample)}
        for key, value in bounds.items():
            where = f'{SETTING}["REFUSED_SAMPLE"]'
            if key not in known:
                raise ImproperlyConfigured(
                    f"{where} has an unknown key {key!r}; known keys: {', '.join(known)}."
                )
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ImproperlyConfigured(f'{where}["{key}"] must be an integer, 0 or more.')
        return RefusedSample(**{known[key]: value for key, value in bounds.items()})

    def _dict(self, key: str, what: str) -> Mapping[str, Any]:
        """Return the dict that the setting is; empty where it is not set."""
        value = self.raw.get(key, {})
        if not isinstance(value, Mapping):
            raise ImproperlyConfigured(f'{SETTING}["{key}"] must be {what}.')
        for name in value:
            if not isinstance(name, str):
                raise ImproperlyConfigured(
                    f'{SETTING}["{key}"] has the key {name!r}, which is not a string.'
                )
        return value

    def _callable(self, key: str, takes: str) -> Callable[..., Any] | None:
        """Return the callable that the setting is or names; ``None`` where it is not set."""
        value = self.raw.get(key)
        if value is None:
            return None
        found = _import(key, value) if isinstance(value, str) else value
        if not callable(found):
            raise ImproperlyConfigured(
                f'{SETTING}["{key}"] must be a callable that {takes}, or its dotted path.'
            )
        return cast(Callable[..., Any], found)


@lru_cache(1)  # it is asked for by each delivery
def _path(value: str | Path) -> Path:
    return Path(value)


def _all_contexts(user: Any) -> None:
    """Every tenant."""


def _no_name(context_identifier: str, associate_id: int) -> None:
    """Nobody's."""


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


def _names_only_the_record(url: str) -> bool:
    """Whether what stands in braces is a name of ``RECORD_PARTS``: no attribute and no format.

    The width in ``{primary_key:>999999999}`` would cost a gigabyte.
    """
    try:
        parts = list(Formatter().parse(url))
    except ValueError:  # a brace without its other half
        return False
    return all(
        name is None or (name in RECORD_PARTS and not spec and conversion is None)
        for _, name, spec, conversion in parts
    )


def _texts(where: str, value: Any) -> tuple[str, ...]:
    return _items(where, value, str)


def _items(where: str, value: Any, kind: type[Item]) -> tuple[Item, ...]:
    # A single string is the likely slip, and would be a sequence of one-letter secrets.
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(item, kind) and not isinstance(item, bool) for item in value
    ):
        kinds = "strings" if kind is str else "integers"
        raise ImproperlyConfigured(f"{where} must be a list of {kinds}.")
    return tuple(value)


_last_found: dict[tuple[Callable[[str], Endpoint | None], str], Endpoint] = {}

conf = Settings()
