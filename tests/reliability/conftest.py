"""What the short forms share: a stage on SQLite or on a PostgreSQL of their own."""

import os
import shutil

import pytest

from tests.reliability.database import Cluster, MissingError, migrate
from tests.reliability.scenarios import Stage

SEED = 20261121


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL that the tests may stop; where it is missing, loudly, and in CI an error."""
    try:
        made = Cluster()
    except MissingError as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    with made:
        yield made


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """An SQLite file with the app's tables, to be copied."""
    file = tmp_path_factory.mktemp("tables") / "tables.sqlite3"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite(tables, tmp_path):
    """A stage on SQLite."""
    file = shutil.copy(tables, tmp_path / "site.sqlite3")
    return Stage(tmp_path, database_url=f"sqlite:///{file}", seed=SEED)


@pytest.fixture
def postgresql(cluster, tmp_path):
    """A stage whose database can be stopped."""
    return Stage(tmp_path, cluster, seed=SEED)


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request):
    """A stage on each database."""
    return request.getfixturevalue(request.param)
