"""A commit that reaches the database, and whose answer does not come back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection


def is_transaction(sql: str) -> bool:
    """Whether this message to PostgreSQL is a whole transaction: it ends with a commit."""
    return ";SET LOCAL enable_seqscan = off;" in sql


@contextmanager
def losing_the_answer_to_a_commit() -> Iterator[None]:
    """Lose the answer to the next commit of this thread's connection."""
    commit = connection._commit

    def commit_and_lose_the_answer() -> None:
        commit()
        connection._commit = commit
        raise OperationalError(2013, "Lost connection during query")

    def message_and_lose_the_answer(
        run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        answer = run(sql, params, many, context)
        if is_transaction(sql) and connection._commit is not commit:
            connection._commit = commit
            raise OperationalError("server closed the connection unexpectedly")
        return answer

    connection._commit = commit_and_lose_the_answer
    try:
        with connection.execute_wrapper(message_and_lose_the_answer):
            yield
    finally:
        connection._commit = commit
