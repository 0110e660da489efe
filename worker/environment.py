"""What a pipeline's transform needs to run: an interpreter with its packages, a folder, files."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """What is prepared on this machine for a pipeline's transform.

    Attributes:
        python: The interpreter that has its packages.
        folder: The user's folder, None if the pipeline has none.
        files: Its resources, such as models, by name.
        secrets: The folder of its secrets, None if it has none.
    """

    python: Path = Path(sys.executable)
    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    secrets: Path | None = None

    @property
    def path(self) -> str:
        """The search path of its programs: those of its packages come first."""
        return f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
