"""Write the lock files from pyproject.toml: exact versions, with the hashes of all their files.

python -m tools.lock [--upgrade]

Versions that are locked stay, unless pyproject.toml asks for others or `--upgrade` is given.
"""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
#: Groups that name all that is installed for transforms, and the folder of each below theirs.
TRANSFORMS = {
    "answers": "answers",
    "faces": "faces",
    "faces-heic": "faces/heic",
    "heic": "pictures/heic",
}
HEADER = """\
# {}
# Written by `python -m tools.lock` from pyproject.toml, which says why each package is there.
"""
_MACHINE = ("--python-platform", "linux", "--python-version", "3.11")
#: Lock file -> its title, and what is locked for which platforms, as arguments of uv.
LOCKS = {
    "requirements.txt": (
        "What `pulumi up` needs.",
        ("pyproject.toml", "--universal", "--python-version", "3.11"),
    ),
    # With the same versions of what both need.
    "cli/requirements.txt": (
        "What every command but `test` and `bench` needs.",
        (
            *("pyproject.toml", "--group", "cli", "--universal", "--python-version", "3.11"),
            *("--constraints", "requirements.txt"),
        ),
    ),
    # One list for all our machines: what only Python 3.11 needs does no harm on a newer one, and
    # pip evaluates markers for the Python that runs it, not for the one that it downloads for.
    "worker/requirements.txt": (
        "What the worker needs on its machine.",
        ("--group", "worker", *_MACHINE),
    ),
    "edge/requirements.txt": (
        "What an edge device needs.",
        ("--group", "edge", "--no-deps", *_MACHINE),
    ),
    **{
        f"worker/transforms/{folder}/requirements.txt": (
            f"What the group `{name}` needs.",
            ("--group", name, "--no-deps", *_MACHINE),
        )
        for name, folder in TRANSFORMS.items()
    },
}


def main() -> None:
    """Write every lock file."""
    for name, (title, what) in LOCKS.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", *what]
        command += ["--generate-hashes", "--annotation-style", "line", "--no-header"]
        command += ["--output-file", name, *sys.argv[1:]]
        subprocess.run(command, cwd=CHECKOUT, check=True)
        lock = CHECKOUT / name
        lock.write_text(HEADER.format(title) + lock.read_text())


if __name__ == "__main__":
    main()
