"""Bodies of our own writing, one for every entity and action that SuperOffice documents."""

import json
from pathlib import Path
from typing import Any

PAYLOADS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "events.ndjson").read_text("utf-8").splitlines()
]
IDS = [payload["Event"] for payload in PAYLOADS]
