"""What the servers that tests and benchmarks start need to know of the machine's processes."""

import socket
from pathlib import Path


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def children(parent: int) -> list[int]:
    """Return the processes that this one has started; none where there is no ``/proc``."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if (told := stat(pid)) is not None and int(told[1]) == parent]


def stat(pid: int) -> list[str] | None:
    """Return what Linux tells of a process, from its state on; ``None`` where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
