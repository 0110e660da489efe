"""Folders: the checkout, the user's cache, the local stack."""

from dataclasses import dataclass
from pathlib import Path

from local.cache import cache_folder
from worker.errors import PipelineError

__all__ = ["CHECKOUT", "LocalPaths", "cache_folder", "make_cache_folder"]
CHECKOUT = Path(__file__).resolve().parent.parent


def make_cache_folder() -> None:
    """Create the cache folder.

    Raises:
        PipelineError: It cannot be created.
    """
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"{cache_folder()} cannot be created ({error.strerror}): set XDG_CACHE_HOME to a "
            "folder that you can write to."
        ) from None


@dataclass(frozen=True)
class LocalPaths:
    """Files of the local stack; `destroy` removes all but a user's pipelines."""

    root: Path = CHECKOUT / ".local"

    @property
    def pulumi_home(self) -> Path:
        """The stack's PULUMI_HOME, separate so that other stacks do not use the stand-in plugin."""
        return self.root / "pulumi"

    @property
    def state(self) -> Path:
        """The folder of Pulumi's backend."""
        return self.root / "state"

    @property
    def project(self) -> Path:
        """Copies of Pulumi.yaml and Pulumi.local.yaml: the engine writes a salt into the latter."""
        return self.root / "project"

    @property
    def pipelines(self) -> Path:
        """The stack's pipelines: its own, else the user's beside its folder; may be absent."""
        own = self.own_pipelines
        return own if own.exists() else self.root.with_name("pipelines.local.yaml")

    @property
    def own_pipelines(self) -> Path:
        """Pipelines of this stack alone, such as an example's; `destroy` removes them."""
        return self.root / "pipelines.yaml"

    @property
    def example(self) -> Path:
        """The files and servers of an example."""
        return self.root / "example"

    @property
    def passphrase(self) -> Path:
        """The file (0600) with the passphrase of the state's secrets."""
        return self.root / "passphrase"

    @property
    def ssh_key(self) -> Path:
        """The stack's private SSH key; the public key is beside it (.pub)."""
        return self.root / "ssh-key"

    @property
    def cloud(self) -> Path:
        """The folder of the cloud on this computer."""
        return self.root / "cloud"
