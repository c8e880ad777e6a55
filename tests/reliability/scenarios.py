"""The scenarios: what happens to a receiver while SuperOffice posts, and what must still hold."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.bodies import Bodies
from tests.reliability.crash import STEPS
from tests.reliability.database import Cluster
from tests.reliability.link import Link
from tests.reliability.receiver import Receiver, sending
from tests.reliability.report import Report
from tests.reliability.simulator import Counting

LONG = 10**9  # more events than any scenario sends


@dataclass
class Stage:
    """Where a scenario plays: a folder, a database, a seed.

    ``cluster`` is the PostgreSQL that may be stopped; ``None`` where ``database_url`` names
    another database, with the app's tables.
    """

    folder: Path
    cluster: Cluster | None = None
    database_url: str = ""
    seed: int = 0
    kind: str = "gunicorn"
    counting: Counting = Counting.ATTEMPTS
    verbose: bool = False

    def url(self) -> str:
        """Return the URL of a database with the app's tables and nothing in them."""
        return self.cluster.url(self.cluster.create()) if self.cluster else self.database_url

    def say(self, text: str) -> None:
        """Print progress, where somebody watches."""
        if self.verbose:
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def kills(
    stage: Stage, acks: int, kills: int, in_flight: int = 16, patience: float = 1.0
) -> Report:
    """Kill a worker, everything or the drainer, so many times, while so many are acknowledged.

    The database fails for a while now and then, so that the spool and its drain are hit too.
    """
    report, rng = Report("kills"), random.Random(stage.seed)
    hit: Counter[str] = Counter()
    faults = {"FAIL": "commit.before:OperationalError/24+8"}
    with Receiver(
        stage.folder, stage.url(), environment=faults, drainer=True, kind=stage.kind
    ) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting, "patience": patience}
        with (
            receiver.superoffice(in_flight=in_flight, persevering=True, **options) as office,
            sending(office, Bodies(stage.seed).first(LONG)) as wait,
        ):
            for number in range(1, kills + 1):
                while office.figures.accepted < acks * number / (kills + 1):
                    time.sleep(0.005)
                hit[_kill_one(receiver, rng)] += 1
                if number % max(1, kills // 20) == 0:
                    stage.say(f"{office.figures.accepted} acknowledged, {number} kills")
            while office.figures.accepted < acks:
                time.sleep(0.005)
            office.stop()
            figures = wait()
        report.saw(figures)
        report.figures |= {
            "kills": dict(hit),
            "starts of the server": receiver.server.starts,
            "registered anew": figures.disabled,
            "seconds to drain": round(receiver.drained(), 1),
        }
        report.promise(figures.answers["spooled"] > 0, "the spool was never used")
        report.promise(figures.answers["recorded"] > 0, "the database was never used")
    report.reckon(receiver.check(), disabled=True)
    return report


def _kill_one(receiver: Receiver, rng: random.Random) -> str:
    dice = rng.random()
    if dice < 0.15:
        receiver.server.kill_tree()
        return "server"
    if dice < 0.3 and receiver.drainer is not None:
        receiver.drainer.kill_tree()
        return "drainer"
    while not receiver.server.kill_child(rng):  # it is being started
        time.sleep(0.05)
    return "worker"


def steps(stage: Stage, rounds: int = 1, in_flight: int = 8, patience: float = 0.1) -> Report:
    """Kill processes at each named step in turn, until every step was hit so many times."""
    report = Report("steps")
    log, turns = stage.folder / "hit", stage.folder / "turns"
    faults = {
        # Two of three deliveries are spooled, and drained as soon as it rests.
        "FAIL": "commit.before:OperationalError/12+8",
        "CRASH": "turns:4",
        "CRASH_LOG": str(log),
        "CRASH_TURNS": str(turns),
    }
    with Receiver(
        stage.folder, stage.url(), environment=faults, drainer=True, kind=stage.kind, workers=3
    ) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting, "patience": patience}
        with (
            receiver.superoffice(
                in_flight=in_flight, rate=100, persevering=True, **options
            ) as office,
            sending(office, Bodies(stage.seed).first(LONG)) as wait,
        ):
            began, hit = time.perf_counter(), Counter[str]()
            while min(hit[step] for step in STEPS) < rounds:
                if time.perf_counter() - began > 30 + 60 * rounds:
                    break
                time.sleep(0.1)
                hit = Counter(log.read_text().split()) if log.exists() else hit
            office.stop()
            figures = wait()
        report.saw(figures)
    report.figures |= {
        "kills by step": dict(sorted(hit.items())),
        "registered anew": figures.disabled,
        "seconds to drain": round(receiver.drain(), 1),
    }
    missed = [step for step in STEPS if hit[step] < rounds]
    report.promise(not missed, f"never reached: {missed}")
    report.reckon(receiver.check(), disabled=True)
    return report


def failures(stage: Stage, events: int, every: int = 7, in_flight: int = 4) -> Report:
    """Let every n-th statement, commit, write, fsync and rename fail while the rest goes on."""
    report = Report("failures")
    faults = (
        f"statement.before:OperationalError/{every * 9}+{every * 3},"
        f"commit.before:OperationalError/{every + 4},commit.after:OperationalError/{every + 6},"
        f"spool.create.before:EMFILE/{every + 10},spool.write.half:ENOSPC/{every},"
        f"spool.fsync.before:EIO/{every + 2},spool.rename.before:EROFS/{every + 3},"
        f"spool.folder.after:EIO/{every + 12},drain.commit.after:OperationalError/{every},"
        f"drain.unlink.before:EIO/{every + 1}"
    )
    with Receiver(
        stage.folder, stage.url(), environment={"FAIL": faults}, kind=stage.kind
    ) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting, "patience": 0.05}
        with receiver.superoffice(in_flight=in_flight, persevering=True, **options) as office:
            figures = office.send(Bodies(stage.seed).first(events))
        report.saw(figures)
        report.promise(
            set(figures.statuses) <= {200, 503},
            f"answers other than 200 and 503: {figures.statuses}",
        )
    report.figures["seconds to drain"] = round(receiver.drain(), 1)
    report.reckon(receiver.check(), disabled=True)
    return report


def stops(stage: Stage, stops: int, rate: float, pause: float = 2.0) -> Report:
    """Stop PostgreSQL at once and start it again, so many times, under steady posts."""
    report, cluster = Report("stops"), _cluster(stage)
    with Receiver(stage.folder, stage.url(), kind=stage.kind) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting}
        with (
            receiver.superoffice(in_flight=64, rate=rate, **options) as office,
            sending(office, Bodies(stage.seed).first(LONG)) as wait,
        ):
            away, rng = 0.0, random.Random(stage.seed)
            for number in range(stops):
                time.sleep(pause * rng.uniform(0.5, 1.5))
                began = time.perf_counter()
                cluster.stop()
                time.sleep(rng.uniform(0, pause / 2))
                cluster.start()
                away += time.perf_counter() - began
                stage.say(f"{number + 1} stops, {office.figures.posts} posts")
            time.sleep(pause)
            office.finish()
            figures = wait()
        report.saw(figures)
        report.figures |= {
            "stops": stops,
            "seconds without a database": round(away, 1),
            "seconds to drain": round(receiver.drained(), 1),
        }
        report.all_200(figures)
    report.reckon(receiver.check())
    return report


def outage(stage: Stage, minutes: float, rate: float, within: float = 60.0) -> Report:
    """Take PostgreSQL away for minutes; then see how long the spool takes to be empty."""
    report, cluster = Report("outage"), _cluster(stage)
    with Receiver(stage.folder, stage.url(), kind=stage.kind) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting}
        with receiver.superoffice(in_flight=32, rate=rate, **options) as office:
            cluster.stop()
            with sending(office, Bodies(stage.seed).first(LONG)) as wait:
                began = time.perf_counter()
                while (gone := time.perf_counter() - began) < minutes * 60:
                    time.sleep(min(10, minutes * 60 - gone))
                    stage.say(f"{office.figures.posts} posts")
                spooled = receiver.spooled()
                cluster.start()
                # SuperOffice goes on meanwhile: that is what tells the receiver.
                took = receiver.drained(within * 3)
                office.finish()
                figures = wait()
        report.saw(figures)
        report.figures |= {
            "minutes without a database": minutes,
            "spooled": spooled,
            "seconds to drain": round(took, 1),
        }
        receiver.drained()
        report.all_200(figures)
        report.promise(took < within, f"draining took {took:.0f} s")
    report.reckon(receiver.check())
    return report


def storm(stage: Stage, events: int, copies: int, in_flight: int = 64) -> Report:
    """Send so many copies of each event in random order, many at a time."""
    report, bodies = Report("storm"), Bodies(stage.seed)
    order = [number for number in range(events) for _ in range(copies)]
    random.Random(stage.seed).shuffle(order)
    with Receiver(stage.folder, stage.url(), kind=stage.kind, threads=32) as receiver:
        with receiver.superoffice(
            seed=stage.seed, counting=stage.counting, in_flight=in_flight, timeout=60
        ) as office:
            figures = office.send(bodies[number] for number in order)
        report.saw(figures)
        report.all_200(figures)
    report.figures["seconds to drain"] = round(receiver.drain(), 1)
    report.reckon(receiver.check())
    told = report.verdict.events
    report.promise(told == events, f"{told} rows for {events} events")
    return report


def flood(
    stage: Stage,
    posts: int,
    rate: float,
    quiet: float,
    flood_rate: float = 0.0,
    bound: int = 1000,
    slower: float = 3.0,
) -> Report:
    """Post what is unsigned or wrongly signed while genuine deliveries go on.

    Genuine posts come at ``rate`` a second, ``quiet`` seconds of them before the flood; their p99
    may be so many times ``slower`` then.
    """
    report = Report("flood")
    environment = {"REFUSED_COUNT": str(bound)}
    with Receiver(
        stage.folder, stage.url(), environment=environment, kind=stage.kind, threads=16
    ) as receiver:
        options = {"seed": stage.seed, "counting": stage.counting, "in_flight": 16, "rate": rate}
        with receiver.superoffice(**options) as office:
            office.send(Bodies(stage.seed).first(int(rate)))  # connections and caches
        with receiver.superoffice(**options) as office:
            before = office.send(Bodies(stage.seed + 10**6).first(int(rate * quiet)))
        with receiver.superoffice(**options) as office:
            command = [sys.executable, "-m", "tests.reliability.flood", receiver.server.url]
            command += [f"--count={posts}", f"--rate={flood_rate}", f"--seed={stage.seed}"]
            environment = os.environ | receiver.base
            began = time.perf_counter()
            with (
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as flooding,
                sending(office, Bodies(stage.seed + 2 * 10**6).first(LONG)) as wait,
            ):
                told, _ = flooding.communicate()
                took = time.perf_counter() - began
                office.finish()
                during = wait()
        report.saw(during)
        ratio = during.percentile(99) / max(before.percentile(99), 1e-6)
        report.figures |= {
            "flood": {int(status): count for status, count in json.loads(told).items()},
            "flood a second": round(posts / took),
            "p99 ms quiet": round(before.percentile(99) * 1000, 1),
            "p99 flood to quiet": round(ratio, 2),
        }
        report.promise(set(json.loads(told)) == {"401"}, f"answers other than 401: {told!r}")
        report.all_200(during)
    receiver.drain()
    report.reckon(receiver.check())
    refused = report.verdict.refused
    report.promise(0 < refused <= bound, f"{refused} refused deliveries kept, the bound is {bound}")
    report.promise(ratio <= slower, f"p99 is {ratio:.1f} times that of quiet")
    return report


def link(stage: Stage, seconds: float, rate: float, worst: float = 2.5) -> Report:
    """Make the line to the database slow, lossy and dead, each for so long."""
    report, cluster = Report("link"), _cluster(stage)
    name = cluster.create()
    with (
        Link(cluster.port, stage.seed) as line,
        Receiver(stage.folder, cluster.url(name, line.port), kind=stage.kind) as receiver,
    ):
        options = {"seed": stage.seed, "counting": stage.counting}
        with (
            receiver.superoffice(in_flight=64, rate=rate, **options) as office,
            sending(office, Bodies(stage.seed).first(LONG)) as wait,
        ):
            for fault, value in (
                ("delay", 0.02),
                ("delay", 2.0),
                ("loss", 0.2),
                ("is_silent", True),
            ):
                setattr(line, fault, value)
                time.sleep(seconds)
                line.calm()
                stage.say(f"after {fault} {value}: {office.figures.answers}")
                time.sleep(seconds / 2)
            office.finish()
            figures = wait()
        report.saw(figures)
        report.figures |= {
            "connections cut": line.cuts,
            "seconds to drain": round(receiver.drained(), 1),
        }
        report.all_200(figures)
        slowest = figures.percentile(99)
        report.promise(slowest < worst, f"p99 is {slowest:.1f} s")
        line.calm()
        report.reckon(receiver.check())
    return report


def clock(stage: Stage, events: int, rate: float, every: int = 3) -> Report:
    """Let the clock of the receiver jump by years and hours; nothing may depend on it."""
    report = Report("clock")
    environment = {"CLOCK": str(every), "FAIL": "commit.before:OperationalError/40+12"}
    with Receiver(stage.folder, stage.url(), environment=environment, kind=stage.kind) as receiver:
        with receiver.superoffice(
            seed=stage.seed, counting=stage.counting, in_flight=4, rate=rate
        ) as office:
            figures = office.send(Bodies(stage.seed).first(events))
        report.saw(figures)
        report.all_200(figures)
    report.figures["seconds to drain"] = round(receiver.drain(), 1)
    report.reckon(receiver.check())
    return report


def disk(stage: Stage, cycles: int = 1, kilobytes: int = 512) -> Report:
    """Fill the spool's disk while the database is away, then give both back.

    A small file system in memory where root may mount one; else the writes fail as if there was
    no room.
    """
    report, cluster = Report("disk"), _cluster(stage)
    with _small_disk(stage.folder / "disk", kilobytes) as (spool, is_real):
        environment = {} if is_real else {"FAIL": "spool.write.half:ENOSPC/60+40"}
        with Receiver(
            stage.folder, stage.url(), spool_dir=spool, environment=environment, kind=stage.kind
        ) as receiver:
            statuses: Counter[int] = Counter()
            bodies = Bodies(stage.seed)
            options = {"seed": stage.seed, "counting": stage.counting, "patience": 0.05}
            for number in range(cycles):
                with receiver.superoffice(in_flight=4, **options) as office:
                    cluster.stop()
                    try:
                        first = number * 10**6
                        full = office.send(bodies[first + each] for each in range(10**5))
                    finally:
                        cluster.start()
                    statuses += full.statuses
                report.promise(full.statuses[200] > 0, "nothing was spooled before it was full")
                report.promise(full.disabled == 1, "the disk was never full")
                # The database is there again, and nobody lends a hand.
                with receiver.superoffice(
                    in_flight=2, rate=20, persevering=True, seed=stage.seed
                ) as office:
                    after = office.send(bodies[first + 10**5 + each] for each in range(50))
                statuses += after.statuses
                report.promise(not after.discarded, f"{after.discarded} given up afterwards")
                drained = receiver.drained()
                stage.say(f"cycle {number + 1}: {dict(full.statuses)}, drained in {drained:.1f} s")
            report.figures |= {
                "a real disk": is_real,
                "cycles": cycles,
                "statuses": dict(statuses),
                "turned away when there was room again": after.failures,
                "seconds to drain": round(drained, 1),
            }
            report.promise(set(statuses) <= {200, 503}, f"other than 200 and 503: {statuses}")
        report.reckon(receiver.check(), disabled=True)
    return report


@contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[tuple[Path, bool]]:
    folder.mkdir(parents=True)
    size = f"size={kilobytes}k,mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", size, "reliability", str(folder)]
    is_real = os.geteuid() == 0 and not subprocess.run(mount, capture_output=True).returncode
    try:
        yield folder / "spool", is_real
    finally:
        if is_real:
            subprocess.run(["umount", str(folder)], check=True)


def _cluster(stage: Stage) -> Cluster:
    if stage.cluster is None:
        raise ValueError("This scenario stops PostgreSQL: it needs one of its own.")
    return stage.cluster
