"""Disk images that `qemu` machines boot from: a Debian tree with a kernel, as a cloud's image is.

The disk has no partitions and no boot loader: QEMU is given the kernel beside it. Images are kept
in the cache and never written to.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local import file_lock
from local.errors import ImageBuildFailed
from local.machine import debian_tree

# The agent is for tests, which must run commands where there is no network.
RECIPE = debian_tree.Recipe(
    datasource="ConfigDrive",
    cloud_config="",
    packages=("linux-image-cloud-amd64", "initramfs-tools", "zstd", "qemu-guest-agent"),
)
_BYTES = 3 << 30  # cloud-init makes the file system as large as the machine's disk


@dataclass(frozen=True)
class Image:
    """The files of an image's folder."""

    folder: Path

    @property
    def disk(self) -> Path:
        """A raw ext4 file system."""
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The kernel's initial RAM disk."""
        return self.folder / "initrd"


def path(images: Path, suite: str) -> Path:
    """Return where an image's folder is once it is built; another recipe has another path."""
    return debian_tree.path(images, suite, RECIPE)


def build(images: Path, suite: str) -> Path:
    """Build an image unless it is there: two minutes, as root.

    Args:
        images: the cache's folder of images.
        suite: one of `debian_tree.SUITES`.

    Returns:
        The image's folder.

    Raises:
        ImageBuildFailed: a program failed.
    """
    target = path(images, suite)
    images.mkdir(parents=True, exist_ok=True)
    lock = images / f"{suite}-image.lock"
    lock.touch()
    with file_lock.hold(lock):
        partial = images / f".{target.name}.image"
        shutil.rmtree(partial, ignore_errors=True)
        if target.exists():
            return target
        partial.mkdir()
        image, tree = Image(partial), debian_tree.build(images / "trees", suite, RECIPE)
        (kernel,) = (tree / "boot").glob("vmlinuz-*")
        (initrd,) = (tree / "boot").glob("initrd.img-*")
        shutil.copyfile(kernel, image.kernel)
        shutil.copyfile(initrd, image.initrd)
        done = subprocess.run(
            [
                *("mke2fs", "-q", "-t", "ext4", "-L", "root", "-E", "root_owner=0:0"),
                *("-d", str(tree), str(image.disk), f"{_BYTES >> 10}k"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            why = done.stderr.strip()
            raise ImageBuildFailed(f"A disk image ({suite}) could not be built: {why}.")
        partial.rename(target)
        shutil.rmtree(tree)
    return target
