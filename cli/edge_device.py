"""An edge device that is a folder of this computer, with a broker of its own."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cli.edge_kit import Kit
from cli.errors import CommandError
from cli.paths import CHECKOUT, cache_folder
from local import private_file, processes
from worker.preparation import virtual_environment

# Two seconds of a grey wall, two of a visitor, two of the wall, ten frames a second (Motion JPEG).
_FILM = """
import sys, cv2, numpy
visitor = cv2.imread(sys.argv[1])
wall = numpy.full_like(visitor, 128)
height, width = wall.shape[:2]
video = cv2.VideoWriter(sys.argv[2], cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
for second in range(6):
    for _ in range(10):
        video.write(visitor if second in (2, 3) else wall)
video.release()
"""


def python() -> Path:
    """Return a Python with the packages of an edge device; they are installed once.

    Raises:
        ServiceUnavailable: They cannot be installed.
    """
    venvs = cache_folder() / "prepared/venvs"
    return virtual_environment(venvs, CHECKOUT / "edge/requirements.txt", "an edge device")


@dataclass(frozen=True)
class EdgeDevice:
    """A device.

    Attributes:
        folder: Its files: settings, passwords, spool, the broker's queues.
        kit: What it is installed from.
    """

    folder: Path
    kit: Kit

    def broker_command(self, port: int) -> list[str]:
        """Write the files of its broker; return the broker's command line."""
        place = str(self.folder)
        for name, text in replace(self.kit, port=port).broker_files(place, place).items():
            private_file.write(self.folder / name, text)
        program = processes.find_program("mosquitto") or "mosquitto"
        return [program, "-c", str(self.folder / "mosquitto.conf")]

    def configure(self, port: int, changes: Mapping[str, str]) -> None:
        """Write its settings.

        Args:
            port: Of its broker.
            changes: A line of the kit's edge.toml -> what is written instead.
        """
        text = replace(self.kit, port=port).filled("edge.toml")
        for line, changed in changes.items():
            assert f"\n{line}\n" in text, line  # noqa: S101
            text = text.replace(f"\n{line}\n", f"\n{changed}\n")
        private_file.write(self.folder / "edge.toml", text)
        private_file.write(self.folder / "local-password", self.kit.local_password)

    @property
    def command(self) -> list[str]:
        """The command line of its camera."""
        return [str(python()), "-m", "edge", "run", "--settings", str(self.folder / "edge.toml")]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its camera."""
        return {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    def run(self) -> None:
        """Run its camera until a film or folder has ended and everything is confirmed.

        Raises:
            CommandError: It failed.
        """
        _run(self.command, self.environment)


def make_film(visitor: Path, film: Path) -> None:
    """Make a video file: a wall, then a visitor, then the wall, two seconds each.

    Args:
        visitor: The picture that is filmed.
        film: The file.

    Raises:
        CommandError: OpenCV failed.
    """
    _run([str(python()), "-c", _FILM, str(visitor), str(film)], os.environ)


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise CommandError(f"The camera failed: {last}")
