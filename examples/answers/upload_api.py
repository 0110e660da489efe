"""The stack's upload API, by curl: what a program without an S3 client does."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.terminal import print_result, spinner

_SHOWN_RECORDS = 2
_PATIENCE_SECONDS = 900


def require_curl() -> None:
    """Check that curl is installed.

    Raises:
        CommandError: It is not.
    """
    if shutil.which("curl") is None:
        raise CommandError(
            "This example sends its data by curl, which is not installed: install it, for "
            "example with 'apt-get install curl'."
        )


def post(address: str, header: Path, file: Path) -> dict[str, Any]:
    """Send a file as a form, and wait until it is processed; show what a user would type.

    Args:
        address: The API's, without a path.
        header: A private file with the header that has the upload token: other users would see it
            on a command line.
        file: The file.

    Returns:
        What `GET /jobs/TOKEN` says of it.

    Raises:
        CommandError: A request failed, or the file was not processed within 15 minutes.
    """
    print_result("./pipeline web --token >token")
    print_result(f"curl -H @token -F file=@{file.name} {address}/upload")
    (sent,) = _curl(header, "-F", f"file=@{file}", f"{address}/upload")["files"]
    print_result(json.dumps(sent))
    url = f"{address}/jobs/{sent['token']}"
    print_result(f"curl -H @token {url}")
    job, deadline = _curl(header, url), time.monotonic() + _PATIENCE_SECONDS
    with spinner(f"Waiting for {file.name}") as screen:
        while job["state"] in ("waiting", "running"):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{file.name} is still {job['state']} after {_PATIENCE_SECONDS} s: "
                    "run './pipeline status' to see why."
                )
            screen.update(f"Waiting for {file.name}, which is {job['state']}")
            time.sleep(0.5)
            job = _curl(header, url)
    shown = {name: job[name] for name in ("state", "reason", "results")}
    print_result(json.dumps(shown | {"records": job["records"][:_SHOWN_RECORDS]}))
    if (more := len(job["records"]) - _SHOWN_RECORDS) > 0:
        print_result(f"… and {more} more records")
    return job


def _curl(header: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-H", f"@{header}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout or done.stderr).strip()
        raise CommandError(f"curl could not use the upload API at {arguments[-1]}: {said}")
    return dict(json.loads(done.stdout))
