"""A researcher with a cloud: a copy of the project, a home of their own, an account on a cloud.

The cloud is the local one, reached as any other: through a clouds.yaml. Its provider plugin lies in
the PULUMI_HOME that the researcher's `pulumi` uses, as the real one would after a download.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from local.cloud import LocalCloud
from tests.checkout import Checkout, environment, settle

#: What a local cloud needs beside what a real one does: its PostgreSQL has no TLS.
LOCALLY = ("--set", "databaseSslMode=disable", "--set", "timerInterval=1s")


@dataclass(frozen=True)
class Researcher:
    """Their checkout (its environment has HOME, PULUMI_HOME and the clouds.yaml), their cloud."""

    base: Path
    checkout: Checkout
    cloud: LocalCloud

    @property
    def clouds_yaml(self) -> Path:
        """A file of their own, so that a test may spoil it."""
        return self.base / "home" / ".config" / "openstack" / "clouds.yaml"

    @property
    def data(self) -> Path:
        """Where `init` remembers stacks."""
        return self.base / "home" / ".local" / "share" / "image-pipeline"

    def settings_file(self, stack: str) -> Path:
        """The stack's settings."""
        return self.checkout.folder / f"Pulumi.{stack}.yaml"

    def change(self, stack: str, **settings: Any) -> None:
        """Edit settings as a person would; None removes one."""
        content = yaml.safe_load(self.settings_file(stack).read_text())
        for name, value in settings.items():
            content["config"].pop(f"image-pipeline:{name}", None)
            if value is not None:
                content["config"][f"image-pipeline:{name}"] = value
        self.settings_file(stack).write_text(yaml.safe_dump(content))

    def openstack(self) -> Connection:
        """The cloud, as anybody with its clouds.yaml reaches it."""
        file = str(self.cloud.clouds_yaml)
        return Connection(
            config=OpenStackConfig(load_envvars=False, config_files=[file]).get_one("local")
        )


@contextmanager
def researcher(base: Path, pulumi: Path) -> Iterator[Researcher]:
    """All of it below `base`, and nothing left of it."""
    folder, home, temporary = settle(base)
    _make_key(home / ".ssh" / "id_ed25519")
    cloud = LocalCloud(base / "cloud")
    cloud.install_plugin(base / "pulumi")
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    checkout = Checkout(
        folder, environment(home, temporary, PATH=path, PULUMI_HOME=str(base / "pulumi"))
    )
    made = Researcher(base, checkout, cloud)
    try:
        cloud.start()
        made.clouds_yaml.parent.mkdir(parents=True)
        made.clouds_yaml.write_text(cloud.clouds_yaml.read_text())
        checkout.environment["OS_CLIENT_CONFIG_FILE"] = str(made.clouds_yaml)  # type: ignore[index]
        yield made
    finally:
        cloud.stop()


def _make_key(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(mode=0o700, parents=True)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    Path(f"{path}.pub").write_bytes(public + b" researcher\n")
