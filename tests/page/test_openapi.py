"""The upload API does what its OpenAPI document says: with requests that it allows, and others."""

import subprocess
import sys
from pathlib import Path

from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer

# Rules of keys that no schema can have, such as a length in bytes, are in the description.
CONFIG = """
headers = {{ Authorization = "Bearer {token}" }}
request-timeout = 60
[[operations]]
include-name = "PUT /upload/{{pipeline}}/{{key}}"
checks.positive_data_acceptance.enabled = false
"""


def test_the_document_is_true(versioned: Pipeline, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    with WebServer(versioned) as server:
        config.write_text(CONFIG.format(token=server.token))
        arguments = ["--phases", "coverage,fuzzing,stateful", "--max-examples", "5"]
        arguments += ["--generation-deterministic", "--suppress-health-check=all", "--no-color"]
        program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
        done = subprocess.run(
            [*program, "run", f"{server.address}/openapi.json", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.get("/openapi.json").status == 200, "it still answers"
