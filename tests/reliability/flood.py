"""Posts what nobody may post: unsigned and wrongly signed bodies, as fast as it is told to.

Run it as ``python -m tests.reliability.flood URL --count N``; a process of its own, so that its
work does not delay the genuine sender's. It prints how often each status was answered.
"""

import argparse
import json
import random
import threading
import time
from collections import Counter

from superoffice_hooks.wire.signature import sign
from tests.reliability.bodies import Bodies
from tests.reliability.post import Connection

SHAPES = 500
HOPELESS = ("", "AAAA", "not base64 at all", "=" * 44, "A" * 4000)


def flood(url: str, count: int, connections: int, rate: float, seed: int) -> Counter[int]:
    """Post so many, and return the answers by status; no body comes twice."""
    statuses: Counter[int] = Counter()
    shapes = [wire.body for wire in Bodies(seed + 1).first(SHAPES)]
    numbers = iter(range(count))
    lock, began = threading.Lock(), time.perf_counter()

    def work() -> None:
        rng = random.Random()
        connection = Connection(url, 30)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            if rate and (wait := began + number / rate - time.perf_counter()) > 0:
                time.sleep(wait)
            body = shapes[number % SHAPES] + b" " * (number // SHAPES % 50) + b"%d" % number
            signature = rng.choice(HOPELESS) if number % 2 else sign(body, "another secret")
            headers = {"Content-Type": "application/json"}
            if signature:
                headers["X-SuperOffice-Signature"] = signature
            answer = connection.post(body, headers)
            with lock:
                statuses[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def main() -> None:
    """Print the answers by status as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(flood(given.url, given.count, given.connections, given.rate, given.seed)))


if __name__ == "__main__":
    main()
