"""Where things lie: the checkout, the user's cache, the local stack."""

import os
from dataclasses import dataclass
from pathlib import Path

from worker.errors import PipelineError

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """The user's cache folder for us (XDG Base Directory Specification): it outlives a destroy."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "image-pipeline"


def make_cache_folder() -> None:
    """Have the cache folder be there; raises PipelineError where it cannot be."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"{cache_folder()} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder "
            "where you may write."
        ) from None


@dataclass(frozen=True)
class LocalPaths:
    """The local stack keeps everything below one folder, which `destroy` removes."""

    root: Path = CHECKOUT / ".local"

    @property
    def pulumi_home(self) -> Path:
        """Its own `PULUMI_HOME`: a real stack never finds the stand-in plugin."""
        return self.root / "pulumi"

    @property
    def state(self) -> Path:
        """Folder of Pulumi's file backend."""
        return self.root / "state"

    @property
    def project(self) -> Path:
        """Copies of `Pulumi.yaml` and `Pulumi.local.yaml`: the engine writes a salt into one."""
        return self.root / "project"

    @property
    def passphrase(self) -> Path:
        """File (0600) with the passphrase of the state's secrets."""
        return self.root / "passphrase"

    @property
    def ssh_key(self) -> Path:
        """The stack's own SSH key; `.pub` beside it."""
        return self.root / "ssh-key"

    @property
    def cloud(self) -> Path:
        """Folder of the cloud on this machine."""
        return self.root / "cloud"
