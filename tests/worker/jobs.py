"""What `python -m worker jobs` prints."""

import json
from typing import Any

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

PNG = encode(picture(1), "PNG")  # 24 x 16 pixels


def quarantine(pipeline: Pipeline, key: str, body: bytes = PNG) -> str:
    """Let an upload be quarantined, and return its job's id: from now on it would succeed."""
    pipeline.configure(limits={"pixels": 383})
    pipeline.put(key, body)
    pipeline.drain()
    pipeline.configure()
    (*_, row) = listed(pipeline, "--state", "quarantined")
    assert row["key"] == key
    return str(row["id"])


def listed(pipeline: Pipeline, *arguments: str) -> list[dict[str, Any]]:
    """Return the rows of `jobs list`."""
    done = pipeline.run("jobs", "list", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(pipeline: Pipeline, identifier: str) -> dict[str, Any]:
    """Return what `jobs show` prints."""
    done = pipeline.run("jobs", "show", "--json", identifier)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def changed(pipeline: Pipeline, *arguments: str) -> list[str | None]:
    """Return the problems of the jobs that `jobs retry` or `jobs drop` names, None for success."""
    done = pipeline.run("jobs", *arguments, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    refused = sum(not row["ok"] for row in rows)
    assert done.returncode == (refused > 0), done.stderr
    assert done.stderr.startswith(f"{refused} of {len(rows)} jobs" if refused else "")
    return [row["problem"] for row in rows]
