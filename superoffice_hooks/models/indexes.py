"""Indexes that serve one question on databases that lay out their tables differently."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class OrderedOnMariaDB(models.Index):
    """An index that finds rows, and on MariaDB and MySQL has their ``position`` besides.

    There a table lies in the order of its key, so that rows which came together lie apart; but
    every index has the key's columns, and with ``position`` it has all that is read. Elsewhere rows
    lie as they came, and PostgreSQL keeps an id once for all its rows if nothing stands behind it.
    """

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Any:
        """Return the statement that makes the index on this database."""
        if schema_editor.connection.vendor != "mysql":
            return super().create_sql(model, schema_editor, using, **kwargs)
        index = models.Index(fields=[*self.fields, "position"], name=self.name)
        return index.create_sql(model, schema_editor, using, **kwargs)
