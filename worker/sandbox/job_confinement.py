"""Restrictions that the process of a job with the policy `command` asks the kernel to enforce.

They hold for all programs that it starts. A job's own unit adds what only systemd can: a user of
its own, control groups, private networks that it may not reach.
"""

import os
import resource
from collections.abc import Sequence
from pathlib import Path

from worker.sandbox import landlock
from worker.sandbox.confinement import NO_LANDLOCK, c_library, give_up_rights, limit_resources
from worker.sandbox.seccomp import forbid_to_command

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
#: What programs look at: kernel, processors, limits; caches that packages make at installation.
_SYSTEM = (
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/var/cache/fontconfig",
    "/var/lib/texmf",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
#: Memory that processes of a job share. Without systemd others use the same folder.
_SHARED_MEMORY = "/dev/shm"  # noqa: S108
_OF_ALL = 0o004


def common_rules(readable: Sequence[Path], *, in_unit: bool) -> list[landlock.Rule]:
    """Return the rules that all jobs of a pipeline share.

    Args:
        readable: Files and folders that they can read and execute, beside the system's.
        in_unit: See `confine_job`.
    """
    run = landlock.READ | landlock.LIST | landlock.EXECUTE
    allowed = dict.fromkeys((*_PROGRAMS, *map(str, readable)), run)
    allowed |= dict.fromkeys((*_SYSTEM, *_public_settings()), landlock.READ | landlock.LIST)
    allowed |= dict.fromkeys(_DEVICES, landlock.DEVICE)
    return landlock.open_rules(allowed | ({_SHARED_MEMORY: landlock.TREE} if in_unit else {}))


def confine_job(
    parent: int,
    cpu_seconds: int,
    rules: Sequence[landlock.Rule],
    folder: str,
    *,
    network: bool,
    in_unit: bool,
) -> list[str]:
    """Forbid to this process, and to all that it starts, what a command does not need.

    Args:
        parent: The process id of the parent; when it dies, this process is killed.
        cpu_seconds: CPU time of each process.
        rules: See `common_rules`.
        folder: The job's folder: it can read `in`, and write `out` and `work`.
        network: Whether it may use the network.
        in_unit: Whether it has a systemd unit of its own, which restricts what the kernel does not.

    Returns:
        What could not be enforced here, one phrase each.
    """
    problems = limit_resources({resource.RLIMIT_CPU: cpu_seconds + 1})
    libc = c_library()
    problems += give_up_rights(libc, parent)
    own = {f"{folder}/in": landlock.READ | landlock.LIST}
    own |= dict.fromkeys(
        (f"{folder}/{name}" for name in ("out", "work")), landlock.TREE | landlock.EXECUTE
    )
    version = landlock.forbid_files(libc, [*rules, *landlock.open_rules(own)], network=network)
    if not version:
        problems.append(NO_LANDLOCK)
    if not forbid_to_command(libc, network=network):
        problems.append(f"network, tracing: no filter for {os.uname().machine} here")
    if in_unit:
        return problems
    if version < landlock.SCOPES_VERSION:
        problems.append("signals to other processes of the user: they need Linux 6.12 or a unit")
    if network:
        problems.append("private addresses: they need a unit of the job")
    return [*problems, "modes and times of the user's other files: they need a unit of the job"]


def _public_settings() -> list[str]:
    """Return what everybody may read in /etc, without the worker's own settings."""
    found = []
    with os.scandir("/etc") as entries:
        for entry in entries:
            try:
                is_public = entry.stat().st_mode & _OF_ALL
            except OSError:  # a link to nothing
                continue
            if is_public and entry.name != "pipeline":
                found.append(entry.path)
    return found
