"""Columns that hold what SuperOffice sent, and tell it apart, on every database."""

import json
import logging
from typing import Any
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from superoffice_hooks.wire.packed import pack, unpack

logger = logging.getLogger("superoffice_hooks.models")

# MariaDB and MySQL otherwise hold "ABC" and "abc" (and "abc ") for one text, and a unique key
# would swallow events. PostgreSQL compares C text faster than any language's.
_COLLATIONS = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin", "postgresql": "C"}


class ExactCharField(models.CharField):  # type: ignore[type-arg]  # generic for mypy alone
    """A ``CharField`` whose database column tells every two different texts apart."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return Django's parameters with the collation that this database needs, if any."""
        vendor = "mariadb" if getattr(connection, "mysql_is_mariadb", False) else connection.vendor
        parameters = super().db_parameters(connection)
        return {**parameters, "collation": _COLLATIONS.get(vendor)}


class GuidField(models.UUIDField):  # type: ignore[type-arg]  # generic for mypy alone
    """A ``UUIDField`` that takes every 128 bits.

    MariaDB's own UUID type refuses those whose version and variant no standard knows, and to
    SuperOffice a GUID is just a number.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return 32 hexadecimal digits on MariaDB and MySQL, Django's own type elsewhere."""
        if connection.vendor == "mysql":
            return "char(32) CHARACTER SET ascii COLLATE ascii_bin"
        return super().db_type(connection)

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        """Return the value as the column takes it."""
        value = super().get_db_prep_value(value, connection, prepared)
        return value.hex if connection.vendor == "mysql" and isinstance(value, UUID) else value


class WireEncoder(json.JSONEncoder):
    """Writes text as it is: ``\\u00e5`` for every å is three times as much to send and store."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "ensure_ascii": False})


class PackedBinaryField(models.BinaryField):  # type: ignore[type-arg]  # generic for mypy alone
    """A ``BinaryField`` of small JSON bodies: ``bytes`` in Python, packed in the column.

    Only ``exact`` and ``in`` compare what is meant, and what another version of zlib has packed may
    be missed. Bytes that cannot be unpacked are given as they are stored, and an error is logged:
    one damaged body must not hide the others.
    """

    def get_db_prep_value(
        self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        """Return the bytes as the column takes them."""
        packed = None if value is None else pack(bytes(value))
        return super().get_db_prep_value(packed, connection, prepared)

    def from_db_value(
        self, value: Any, expression: Any, connection: BaseDatabaseWrapper
    ) -> bytes | None:
        """Return the bytes as they came."""
        if value is None:
            return None
        try:
            return unpack(bytes(value))
        except ValueError as error:
            logger.error("A body in the column %r: %s", self.column, error)
            return bytes(value)
