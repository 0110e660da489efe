"""An operator with a copy of the project, a separate home, and a clouds.yaml in it."""

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

from tests.checkout import Checkout


@dataclass(frozen=True)
class Operator:
    """Their checkout; its environment has HOME (`base`/home), PULUMI_HOME and the clouds.yaml."""

    base: Path
    checkout: Checkout

    @property
    def clouds_yaml(self) -> Path:
        """A separate file, so that a test may change it."""
        return self.base / "home" / ".config" / "openstack" / "clouds.yaml"

    @property
    def data(self) -> Path:
        """The folder in which `init` records stacks."""
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

    def define(self, stack: str, pipeline: str = "negatives", **keys: Any) -> None:
        """Edit the keys of a pipeline as a person would; None removes one."""
        content = yaml.safe_load(self.settings_file(stack).read_text())["config"]
        pipelines = content.get("image-pipeline:pipelines") or {
            "negatives": {"transform": "negate"}
        }
        wanted = {**pipelines.get(pipeline, {}), **keys}
        kept = {key: value for key, value in wanted.items() if value is not None}
        self.change(stack, pipelines={**pipelines, pipeline: kept})


def make_key(path: Path) -> None:
    """A pair of SSH keys, the public half beside `path`."""
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(mode=0o700, parents=True)
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    Path(f"{path}.pub").write_bytes(public + b" researcher\n")
