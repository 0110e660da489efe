"""Debian root file systems for machines that boot: built once, kept, never written to."""

import hashlib
import platform
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local import file_lock
from local.errors import ImageBuildFailed

SUITES = ("bookworm", "trixie")
"""cloud-init 22.4 with systemd 252, and 25.1 with 257; Ubuntu 24.04 has versions between these."""
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
# The packages of a cloud's image, without those that the user-data is to install. The exception is
# libfaketime, for tests that give the worker alone a wrong clock.
_PACKAGES = (
    *("systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "libpam-systemd"),
    *("cloud-init", "netplan.io", "python3", "openssh-server", "ca-certificates", "sudo"),
    # Without libnss-myhostname, sudo looks the machine's own name up by LLMNR: 8 s each time.
    *("libnss-myhostname", "iproute2", "procps", "login", "passwd", "locales", "libfaketime"),
)
# Folders of /usr/share that only people read. `minbase` has no more packages than apt needs.
_EXCLUDED = ("man", "doc", "locale", "info")
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
    """The differences between the trees of systemd-nspawn and of QEMU.

    Attributes:
        datasource: where cloud-init looks for user-data, by cloud-init's name.
        cloud_config: more lines of the image's own cloud-config.
        packages: more Debian packages.
    """

    datasource: str = "NoCloud"
    cloud_config: str = 'growpart: { mode: "off" }\nresize_rootfs: false\n'
    packages: tuple[str, ...] = ()

    @property
    def customize(self) -> str:
        """The shell script that finishes a tree."""
        script = _CUSTOMIZE.replace("@DATASOURCE@", self.datasource)
        return script.replace("@MORE@", self.cloud_config)


NSPAWN = Recipe()


def path(trees: Path, suite: str, recipe: Recipe = NSPAWN) -> Path:
    """Return where a tree is once it is built; each recipe has its own path.

    Args:
        trees: the cache's folder of trees.
        suite: one of `SUITES`.
        recipe: what the tree is for.
    """
    packages = (*_PACKAGES, *recipe.packages)
    text = "\n".join([suite, platform.machine(), *packages, *_EXCLUDED, recipe.customize])
    return trees / f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def build(trees: Path, suite: str, recipe: Recipe = NSPAWN) -> Path:
    """Build a tree with mmdebstrap unless it is there: a minute or two, as root.

    A killed build leaves a folder that the next call removes.

    Args:
        trees: the cache's folder of trees.
        suite: one of `SUITES`.
        recipe: what the tree is for.

    Returns:
        The tree's path.

    Raises:
        ImageBuildFailed: mmdebstrap failed.
    """
    target = path(trees, suite, recipe)
    trees.mkdir(parents=True, exist_ok=True)
    lock = trees / f"{suite}.lock"
    lock.touch()
    with file_lock.hold(lock):
        partial = trees / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        if target.exists():
            return target
        partial.mkdir()
        customize = partial / "customize"
        customize.write_text(recipe.customize, encoding="utf-8")
        customize.chmod(0o755)
        log = partial / "log"
        with log.open("wb") as output:
            code = subprocess.run(
                _command(suite, partial / "tree", customize, recipe),
                input=_sources(suite),
                stdout=output,
                stderr=output,
                check=False,
            ).returncode
        if code:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            kept = trees / f"{suite}.log"
            log.replace(kept)
            shutil.rmtree(partial)
            last = lines[-1] if lines else ""
            why = next((line for line in lines if line.startswith("E: ")), last)
            raise ImageBuildFailed(
                f"A Debian tree ({suite}) could not be built: {why} (see {kept})."
            )
        (partial / "tree").rename(target)
        shutil.rmtree(partial)
    return target


def _command(suite: str, target: Path, customize: Path, recipe: Recipe) -> list[str]:
    options = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _EXCLUDED]
    options += [f"--aptopt={line}" for line in _apt_settings()]
    return [
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io"),
        *options,
        f"--include={','.join((*_PACKAGES, *recipe.packages))}",
        f'--customize-hook={shlex.quote(str(customize))} "$1"',
        *(suite, str(target), "-"),
    ]


def _sources(suite: str) -> bytes:
    """The apt sources of this host where it is Debian, else Debian's own."""
    if not _SOURCES.exists():
        return (
            f"deb http://deb.debian.org/debian {suite} main\n"
            f"deb http://deb.debian.org/debian {suite}-updates main\n"
            f"deb http://security.debian.org/debian-security {suite}-security main\n"
        ).encode()
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    host = next(iter(re.findall(r"^VERSION_CODENAME=(\w+)", release, re.MULTILINE)), "")
    lines = _SOURCES.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")) + "\n"
    return re.sub(rf"\b{host}\b", suite, text).encode() if host else text.encode()


def _apt_settings() -> list[str]:
    """How this host's apt reaches its mirrors: proxies, and snapshots whose dates are past."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    wanted = re.compile(r'^(Acquire::(?:Check-|https?::|Retries)\S* "[^"]*";)$', re.MULTILINE)
    return wanted.findall(dump.stdout)
