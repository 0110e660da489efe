"""Debian trees that `container` machines boot from: built once, kept, never written to."""

import fcntl
import hashlib
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITES = ("bookworm", "trixie")
"""cloud-init 22.4 with systemd 252, and 25.1 with 257; Ubuntu 24.04 lies between them."""
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
# What a cloud's image has; what our user-data is to install is not among it, with one exception:
# libfaketime, for tests that give the worker alone a wrong clock.
_PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "libpam-systemd"),
    *("cloud-init", "netplan.io", "python3", "openssh-server", "ca-certificates", "sudo"),
    *("iproute2", "procps", "login", "passwd", "locales", "libfaketime"),
)
# Left out: what only people read. `minbase` has no more packages than apt needs.
_UNREAD = ("man", "doc", "locale", "info")
_CLOUD_CONFIG = """\
ssh_genkeytypes: [ ed25519 ]
locale: C.UTF-8
apt: { preserve_sources_list: true }
@MORE@system_info: { default_user: { name: ubuntu } }
"""
_CUSTOMIZE = r"""#!/bin/sh
set -e
echo machine > "$1/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 machine\n' > "$1/etc/hosts"
: > "$1/etc/fstab"
: > "$1/etc/machine-id"
rm -f "$1"/etc/ssh/ssh_host_*
cat > "$1/etc/cloud/cloud.cfg.d/99-image.cfg" <<'END'
datasource_list: [ @DATASOURCE@, None ]
@CLOUD_CONFIG@END
chroot "$1" systemctl -q enable systemd-networkd systemd-resolved ssh
chroot "$1" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer
rm -f "$1/etc/resolv.conf"
ln -s ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"
""".replace("@CLOUD_CONFIG@", _CLOUD_CONFIG)


@dataclass(frozen=True)
class Recipe:
    """What differs between trees: where cloud-init looks, what it is told, and what is added."""

    datasource: str = "NoCloud"
    cloud_config: str = 'growpart: { mode: "off" }\nresize_rootfs: false\n'
    packages: tuple[str, ...] = ()

    @property
    def customize(self) -> str:
        """The script that finishes a tree."""
        script = _CUSTOMIZE.replace("@DATASOURCE@", self.datasource)
        return script.replace("@MORE@", self.cloud_config)


CONTAINER = Recipe()


class TreeError(Exception):
    """A tree cannot be built; the message says why."""


def place(trees: Path, suite: str, recipe: Recipe = CONTAINER) -> Path:
    """Where the tree of a suite is once it is built; another recipe has another place."""
    packages = (*_PACKAGES, *recipe.packages)
    text = "\n".join([suite, platform.machine(), *packages, *_UNREAD, recipe.customize])
    return trees / f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def build(trees: Path, suite: str, recipe: Recipe = CONTAINER) -> Path:
    """The tree, built by mmdebstrap (a minute or two) unless it is there; needs root.

    Killed half-way it leaves a folder that the next call removes. Raises TreeError.
    """
    target = place(trees, suite, recipe)
    trees.mkdir(parents=True, exist_ok=True)
    with alone(trees / f"{suite}.lock"):
        partial = trees / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        if target.exists():
            return target
        partial.mkdir()
        customize = partial / "customize"
        customize.write_text(recipe.customize, encoding="utf-8")
        customize.chmod(0o755)
        log = partial / "log"
        with log.open("wb") as said:
            code = subprocess.run(
                _command(suite, partial / "tree", customize, recipe),
                input=_sources(suite),
                stdout=said,
                stderr=said,
                check=False,
            ).returncode
        if code:
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            kept = trees / f"{suite}.log"
            log.replace(kept)
            shutil.rmtree(partial)
            why = next((line for line in last if line.startswith("E: ")), last[-1] if last else "")
            raise TreeError(f"A Debian tree ({suite}) could not be built: {why} (see {kept}).")
        (partial / "tree").rename(target)
        shutil.rmtree(partial)
    return target


def _command(suite: str, target: Path, customize: Path, recipe: Recipe) -> list[str]:
    options = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _UNREAD]
    options += [f"--aptopt={line}" for line in _apt_settings()]
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        *options,
        f"--include={','.join((*_PACKAGES, *recipe.packages))}",
        f'--customize-hook={shlex.quote(str(customize))} "$1"',
        *(suite, str(target), "-"),
    ]


def _sources(suite: str) -> bytes:
    """apt's sources as this machine has them, where it is Debian; else Debian's own."""
    if not _SOURCES.exists():
        return (
            f"deb http://deb.debian.org/debian {suite} main\n"
            f"deb http://deb.debian.org/debian {suite}-updates main\n"
            f"deb http://security.debian.org/debian-security {suite}-security main\n"
        ).encode()
    ours = next(iter(re.findall(r"^VERSION_CODENAME=(\w+)", _os_release(), re.MULTILINE)), "")
    lines = _SOURCES.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")) + "\n"
    return re.sub(rf"\b{ours}\b", suite, text).encode() if ours else text.encode()


def _os_release() -> str:
    return Path("/etc/os-release").read_text(encoding="utf-8")


def _apt_settings() -> Iterator[str]:
    """How this machine's apt reaches its mirrors (proxies, snapshots whose dates are past)."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    wanted = re.compile(r'^(Acquire::(?:Check-|https?::|Retries)\S* "[^"]*";)$', re.MULTILINE)
    yield from wanted.findall(dump.stdout)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep a second builder waiting; a kill lets go."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
