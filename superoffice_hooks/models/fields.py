"""Text that is compared and ordered by its characters alone, on every database."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

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
