"""Images of the project's Containerfiles, and containers of them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local.machine import vendor_data
from tests.checkout import PROJECT
from tests.containers.registry import TOKEN, USER, Registry

(VERSION,) = re.findall(
    '^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE
)
#: Of all images; a tree of the same Debian takes its name.
BASE = "docker.io/library/debian:trixie-slim"
_PROGRAMS = ("buildah", "docker-registry", "mmdebstrap")
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_TRUSTED = "/run/host-certificates.crt"
_PATIENCE_SECONDS = 900


def missing() -> str | None:
    """Return why images cannot be built on this machine, None if they can."""
    if os.geteuid() != 0:
        return "needs root: buildah runs without user namespaces here"
    lacking = [name for name in _PROGRAMS if not shutil.which(name)]
    return f"apt-get install {' '.join(lacking)}" if lacking else None


class Buildah:
    """buildah with a store of its own.

    Args:
        folder: Where it keeps everything.
        registry: What images are pushed to.
    """

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._folder, self._registry = folder, registry
        storage, accounts = folder / "storage.conf", folder / "accounts.json"
        accounts.write_text("{}")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(storage),
            "REGISTRY_AUTH_FILE": str(accounts),
            "SSL_CERT_FILE": str(registry.authority),
        }
        for driver in ("overlay", "vfs"):  # the second works everywhere, and copies each layer
            storage.write_text(
                f'[storage]\ndriver = "{driver}"\n'
                f'graphroot = "{folder}/store-{driver}"\nrunroot = "{folder}/run-{driver}"\n'
            )
            if self.execute(["buildah", "info"]).returncode == 0:
                break

    def __call__(self, *arguments: str) -> str:
        """Run buildah, which must succeed; return what it printed."""
        done = self.execute(["buildah", *arguments])
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def execute(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program that uses this store."""
        return subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )

    def import_base(self, tree: Path) -> None:
        """Make the base image of a root file system, with the host's way to Python's packages."""
        pip = self._folder / "pip.conf"
        pip.write_text(vendor_data.pip_settings("127.0.0.1", _TRUSTED))
        container = self("from", "scratch")
        for source, target in ((tree, "/"), (pip, "/etc/pip.conf"), (_AUTHORITIES, _TRUSTED)):
            self("add", "--quiet", container, str(source), target)
        self("commit", "--quiet", "--rm", container, BASE)

    def release(
        self, image: str, tag: str = f"v{VERSION}", token: str = TOKEN
    ) -> subprocess.CompletedProcess[str]:
        """Build and push an image as .github/workflows/release.yaml does."""
        return self.execute(
            [".ci/release", image, tag],
            REGISTRY=self._registry.address,
            PLATFORMS="",  # this machine's
            DOCKERHUB_USERNAME=USER,
            DOCKERHUB_TOKEN=token,
        )

    def pull(self, image: str) -> "Image":
        """Make a container of an image that was released."""
        name = f"{self._registry.address}/{USER}/image-pipeline-{image}:{VERSION}"
        container = self("from", "--pull-always", "--creds", f"{USER}:{TOKEN}", f"docker://{name}")
        return Image(self, name, container)


@dataclass(frozen=True)
class Image:
    """An image, and a container of it.

    Attributes:
        buildah: What has pulled it.
        name: Its name.
        container: The container's.
    """

    buildah: Buildah
    name: str
    container: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its configuration, by the names of the OCI image specification."""
        found = json.loads(self.buildah("inspect", "--type", "image", self.name))
        return dict(found["OCIv1"]["config"])

    @cached_property
    def root(self) -> Path:
        """The container's root file system."""
        return Path(self.buildah("mount", self.container))

    def command(self, *arguments: str, mounts: Mapping[Path, str] | None = None) -> list[str]:
        """Return what runs its entrypoint, which buildah does not do by itself.

        Args:
            arguments: Of the entrypoint.
            mounts: Folders of this machine, and where the container has them.
        """
        volumes = [f"--volume={path}:{inside}" for path, inside in (mounts or {}).items()]
        argv = (*self.config["Entrypoint"], *arguments)
        return ["buildah", "run", *volumes, self.container, *argv]

    def run(
        self, *arguments: str, mounts: Mapping[Path, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its entrypoint to its end."""
        return self.buildah.execute(self.command(*arguments, mounts=mounts))
