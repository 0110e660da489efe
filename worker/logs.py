"""What the worker says as it works: one JSON object a line on standard output, no secrets."""

import json
import sys
import threading
from datetime import UTC, datetime

_lock = threading.Lock()


def say(event: str, **fields: object) -> None:
    """Write one line; fields without a value are left out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "event": event} | {k: v for k, v in fields.items() if v is not None}
    with _lock:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()
