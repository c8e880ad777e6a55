"""A commit that reaches the database, and whose answer does not come back."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection


@contextmanager
def losing_the_answer_to_a_commit() -> Iterator[None]:
    """Lose the answer to the next commit of this thread's connection."""
    commit = connection._commit

    def commit_and_lose_the_answer() -> None:
        commit()
        connection._commit = commit
        raise OperationalError(2013, "Lost connection during query")

    connection._commit = commit_and_lose_the_answer
    try:
        yield
    finally:
        connection._commit = commit
