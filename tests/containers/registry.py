"""Debian's docker-registry with TLS and one account, as Docker Hub stands behind the release."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from clients.certificates import issue, make_authority, public_part
from tests.eventually import eventually
from tests.ports import reserved_port

USER, TOKEN = "someone", "hunter22"
_BCRYPT = "$2y$05$.esrF9xtFhYfcDxZxjOE4ejZHPnS9r3R8g3WKSnHR6t9r4QvE02rK"  # of the token


@dataclass(frozen=True)
class Registry:
    """A registry that runs.

    Attributes:
        address: Host and port.
        authority: The file of the certificate that signed its own.
    """

    address: str
    authority: Path

    def get(self, path: str, accept: str = "application/json") -> Any:
        """Return what its API has at a path."""
        answer = requests.get(
            f"https://{self.address}/v2/{path}",
            auth=(USER, TOKEN),
            headers={"Accept": accept},
            verify=str(self.authority),
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()


@contextmanager
def serving(folder: Path) -> Iterator[Registry]:
    """Run a registry that keeps its images in a folder."""
    authority, port = make_authority(), reserved_port()
    trusted, certificate = folder / "authority.pem", folder / "registry.pem"
    trusted.write_text(public_part(authority))
    certificate.touch(0o600)
    certificate.write_text(issue("registry", authority, "127.0.0.1"))
    (folder / "accounts").write_text(f"{USER}:{_BCRYPT}\n")
    configuration = folder / "registry.yaml"
    configuration.write_text(
        f"""\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {certificate}, key: {certificate}}}}}
auth: {{htpasswd: {{realm: test, path: {folder}/accounts}}}}
"""
    )
    with (folder / "log").open("w") as log:
        argv = ["docker-registry", "serve", str(configuration)]
        process = subprocess.Popen(argv, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    registry = Registry(f"127.0.0.1:{port}", trusted)
    try:
        eventually(lambda: _answers(registry) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield registry
    finally:
        process.terminate()
        process.wait()


def _answers(registry: Registry) -> bool:
    try:
        registry.get("")
    except requests.ConnectionError:
        return False
    return True
