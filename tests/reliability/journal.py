"""What the simulator sent and what it was answered, one JSON object a line."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Appends to a file of NDJSON; any number of threads may write.

    ``kind`` is ``post`` (one attempt with its answer; status 0 where none came), ``discarded``
    (SuperOffice gave an event up), ``registered`` or ``disabled``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1 << 16)

    def write(self, kind: str, **told: Any) -> None:
        """Append one line."""
        line = json.dumps({"kind": kind, "at": round(time.time(), 4), **told})
        with self._lock:
            self._file.write(line + "\n")

    def close(self) -> None:
        """Flush what is buffered, and close the file."""
        with self._lock:
            self._file.close()


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal in the order in which they were written."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
