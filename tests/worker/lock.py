"""Write worker/requirements.txt from requirements.in: exact versions with the hashes of the wheels
our machines can meet and of no others, since every byte counts against Nova's limit.

python -m tests.worker.lock
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "worker"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBCS = ("_2_28", "_2_27", "_2_17", "2014")


def main() -> None:
    """Download for each Python and machine; what differs between them shares a requirement."""
    wheels: dict[tuple[str, str], dict[str, str]] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for wheel, digest in _download(python, machine):
                name, version = wheel.split("-")[:2]
                wheels.setdefault((name.lower().replace("_", "-"), version), {})[wheel] = digest
    lines = ["# Written by tests/worker/lock.py: Linux x86-64 and aarch64, CPython 3.11 to 3.14."]
    for (name, version), files in sorted(wheels.items()):
        hashes = [f"--hash=sha256:{digest}" for _, digest in sorted(files.items())]
        lines.append(" ".join([f"{name}=={version}", *hashes]))
    (WORKER / "requirements.txt").write_text("\n".join(lines) + "\n")


def _download(python: str, machine: str) -> list[tuple[str, str]]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    command += ["--python-version", python, "--implementation", "cp"]
    for glibc in GLIBCS:
        command += ["--platform", f"manylinux{glibc}_{machine}"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--dest", folder, "-r", str(WORKER / "requirements.in")]
        subprocess.run(command, check=True)
        return [
            (wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest())
            for wheel in Path(folder).iterdir()
        ]


if __name__ == "__main__":
    main()
