"""Disk images that `qemu` machines boot from: a Debian tree with a kernel, as a cloud's image is.

The disk has no partitions and no boot loader: QEMU is handed the kernel beside it. Kept in the
cache, never written to.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.machine import container_tree
from local.machine.container_tree import Recipe, TreeError

# The agent is for tests, which must get in where there is no network.
RECIPE = Recipe(
    datasource="ConfigDrive",
    cloud_config="",
    packages=("linux-image-cloud-amd64", "initramfs-tools", "zstd", "qemu-guest-agent"),
)
_BYTES = 3 << 30  # cloud-init makes the file system as large as the machine's disk


@dataclass(frozen=True)
class Image:
    """The files of a folder."""

    folder: Path

    @property
    def disk(self) -> Path:
        """A raw ext4 file system."""
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"


def place(images: Path, suite: str) -> Path:
    """The image's folder once it is built; another recipe has another."""
    return container_tree.place(images, suite, RECIPE)


def build(images: Path, suite: str) -> Path:
    """The folder, filled (two minutes) unless it is there; needs root. Raises TreeError."""
    target = place(images, suite)
    images.mkdir(parents=True, exist_ok=True)
    with container_tree.alone(images / f"{suite}-image.lock"):
        partial = images / f".{target.name}.image"
        shutil.rmtree(partial, ignore_errors=True)
        if target.exists():
            return target
        partial.mkdir()
        image, tree = Image(partial), container_tree.build(images / "trees", suite, RECIPE)
        (kernel,) = (tree / "boot").glob("vmlinuz-*")
        (initrd,) = (tree / "boot").glob("initrd.img-*")
        shutil.copyfile(kernel, image.kernel)
        shutil.copyfile(initrd, image.initrd)
        made = subprocess.run(
            [
                *("mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", "root_owner=0:0"),
                *("-d", str(tree), str(image.disk), f"{_BYTES >> 10}k"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise TreeError(f"A disk image ({suite}) could not be made: {made.stderr.strip()}.")
        partial.rename(target)
        shutil.rmtree(tree)
    return target
