"""Whether a follower gets each event exactly once while several writers store them.

Run it as ``python -m tests.benchmarks.follow --events 20000 --writers 8``. It makes a database of
its own on the server that ``DATABASE_URL`` names, and removes it. Each writer is a process that
posts signed deliveries to the webhook. Some of its transactions wait between the event and the
commit, so that events do not commit in the order of their ids; some deliveries come twice, and the
id that the second takes is never used. Two followers poll meanwhile: one by the API's
``events/follow/``, one as if ids came in order. It fails where the first gets an event twice or
not at all, and where the second does not: then nothing was shown.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from multiprocessing import get_context
from random import Random
from statistics import median
from threading import Event as Flag
from typing import Any

import django

NAME = "superoffice_hooks_benchmark_follow"
FOLLOW = "/superoffice/api/events/follow/?page_size=200"
BETWEEN_POLLS = 0.01  # seconds
SLOW = 0.1  # of the transactions wait before they commit
SLOWEST = 0.05  # seconds
REPEATED = 0.05  # of the deliveries come twice


@dataclass(slots=True)
class Follower:
    """What a follower was given, as (id, time), and how often it asked."""

    found: list[tuple[int, float]] = field(default_factory=list)
    polls: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one run; ``committed`` tells when each event was seen to be."""

    committed: dict[int, float]
    follower: Follower
    naive: Follower
    seconds: float

    @property
    def overtaken(self) -> int:
        """The number of events that committed after one with a higher id."""
        moments = [self.committed[key] for key in sorted(self.committed, reverse=True)]
        return sum(
            moment > first for moment, first in zip(moments, accumulate(moments, min), strict=True)
        )

    @property
    def latencies(self) -> list[float]:
        """The seconds between the commit of each event and its arrival at the follower."""
        return [max(0.0, moment - self.committed[key]) for key, moment in self.follower.found]

    def doubles(self, follower: Follower) -> int:
        """Return how many events this follower was given too often."""
        return sum(count - 1 for count in Counter(key for key, _ in follower.found).values())

    def misses(self, follower: Follower) -> int:
        """Return how many events this follower was never given."""
        return len(self.committed.keys() - {key for key, _ in follower.found})


def run(events: int, writers: int) -> Result:
    """Store so many events in the database of this process, and follow them."""
    from django.db import connection
    from django.test import Client

    Client().get(FOLLOW)  # a first request loads the site, which is no part of any latency
    started, written = time.monotonic(), Flag()
    numbers = [range(writer, events, writers) for writer in range(writers)]
    name = str(connection.settings_dict["NAME"])
    with (
        ThreadPoolExecutor(2) as followers,
        ProcessPoolExecutor(writers, mp_context=get_context("spawn")) as processes,
    ):
        follower, naive = (
            followers.submit(_closing, poll, written) for poll in (_follow, _follow_ids)
        )
        try:
            committed = dict(
                pair for pairs in processes.map(write, numbers, [name] * writers) for pair in pairs
            )
        finally:
            written.set()
        return Result(committed, follower.result(), naive.result(), time.monotonic() - started)


def write(numbers: range, name: str) -> list[tuple[int, float]]:
    """Post these events from this process; return their ids and the times of their commits."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection

    from superoffice_hooks.intake import rows
    from superoffice_hooks.signals import event_recorded
    from tests.builders import body, encode, post

    connection.settings_dict["NAME"] = name
    random, committed, is_slow = Random(numbers.start), [], False

    def note(event: Any, **_signal: Any) -> None:
        committed.append((event.pk, time.time()))

    def linger(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        # The delivery is the last that a transaction writes; the event has its id by then.
        if is_slow and sql.startswith("INSERT INTO") and "superoffice_hooks_delivery" in sql:
            time.sleep(random.uniform(0, SLOWEST))
        return execute(sql, *arguments)

    def is_possible(alias: str) -> bool:
        nonlocal is_slow
        is_slow = random.random() < SLOW
        # Those that wait are written by the ORM, in several statements.
        return not is_slow and is_possible_at_all(alias)

    is_possible_at_all, rows.is_possible = rows.is_possible, is_possible
    event_recorded.connect(note)
    with connection.execute_wrapper(linger):
        for number in numbers:
            raw = encode(body(PrimaryKey=number))
            answers = [post(raw).content]
            if random.random() < REPEATED:
                answers.append(post(raw).content)
            if answers not in ([b"recorded\n"], [b"recorded\n", b"duplicate\n"]):
                raise RuntimeError(f"Event {number} was answered {answers}.")
    connection.close()
    return committed


def _closing(poll: Callable[[Flag], Follower], written: Flag) -> Follower:
    from django.db import connections

    try:
        return poll(written)
    finally:
        connections.close_all()


def _follow(written: Flag) -> Follower:
    """Follow by the recipe: go on with ``next``, and ask again after 503."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    client, follower, url = Client(), Follower(), FOLLOW
    client.raise_request_exception = False
    user, _ = get_user_model().objects.get_or_create(username="follower", is_superuser=True)
    client.force_login(user)
    while True:
        is_last = written.is_set()
        answer = client.get(url)
        follower.polls += 1
        if answer.status_code == 503:
            follower.refusals += 1
            continue
        if answer.status_code != 200:
            raise RuntimeError(f"{url} was answered {answer.status_code}.")
        batch = answer.json()
        now = time.time()
        follower.found += ((event["id"], now) for event in batch["results"])
        url = batch["next"]
        if not batch["more"]:
            if is_last:
                return follower
            time.sleep(BETWEEN_POLLS)


def _follow_ids(written: Flag) -> Follower:
    """Follow as if no event could ever appear below one that is there."""
    from superoffice_hooks.models import Event

    follower, last = Follower(), 0
    while True:
        is_last = written.is_set()
        found = list(
            Event.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:200]
        )
        follower.polls += 1
        now = time.time()
        follower.found += ((key, now) for key in found)
        last = found[-1] if found else last
        if len(found) < 200:
            if is_last:
                return follower
            time.sleep(BETWEEN_POLLS)


@contextmanager
def scratch_database() -> Iterator[None]:
    """Make a database of our own, as Django's tests do, and remove it."""
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = NAME
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def report(result: Result) -> str:
    """Return what there is to say about a run."""
    follower, naive, latencies = result.follower, result.naive, result.latencies
    lines = {
        "events": len(result.committed),
        "stored in": f"{result.seconds:.1f} s",
        "committed after a higher id": result.overtaken,
        "polls": f"{follower.polls}, of which answered 503: {follower.refusals}",
        "doubles": result.doubles(follower),
        "misses": result.misses(follower),
        "from commit to hand-out": f"median {median(latencies) * 1000:.0f} ms, "
        f"max {max(latencies) * 1000:.0f} ms",
        "naive follower": f"{naive.polls} polls, {result.doubles(naive)} doubles, "
        f"{result.misses(naive)} misses",
    }
    return "\n".join(f"{name + ':':<29}{value}" for name, value in lines.items())


def main() -> int:
    """Run once as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--writers", type=int, default=8)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    with scratch_database():
        result = run(options.events, options.writers)
    print(report(result))
    once = not result.doubles(result.follower) and not result.misses(result.follower)
    return 0 if once and result.misses(result.naive) else 1


if __name__ == "__main__":
    raise SystemExit(main())
