"""`python -m worker.units SETTINGS UNITS FILES`: write what units need of the machine's settings.

The templates in cloud-init/ name no pipeline, and user-data does not know how many cores the
machine has: a VM that is resized keeps its user-data. So `install` writes these drop-ins
(systemd.unit(5)) at every boot, the units of jobs that start programs, and the files of the broker
and the proxy. The Debian packages that these two need are printed. Standard library only: no
package is installed yet.
"""

import ipaddress
import os
import secrets
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from worker.broker import CAMERA, PASSWORD
from worker.environment import needs_preparation, policy_of
from worker.errors import InvalidSettings
from worker.proxy import caddyfile
from worker.settings import Pipeline, Settings, Web, load
from worker.transforms import COMMAND

#: What a pass needs beside its transforms' processes: measured 45 MiB, and pages of its files.
_PASS_MIB = 256
#: What a job needs beside its programs: the process that supervises them.
_JOB_MIB = 128
#: A pass connects ahead of need, and lasts at most this long (pipeline-worker@.service).
_PASS_SECONDS = 6 * 3600
#: The resolvers that systemd-resolved asks, or those that programs ask where there is none.
_RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
#: What a job with network cannot reach unless `allow` has it: this machine and those beside it.
_PRIVATE = (
    *("localhost", "link-local", "multicast", "0.0.0.0/8"),
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
)
#: Service -> the Debian package with its program.
_PACKAGES = {"proxy": "caddy", "broker": "mosquitto"}
_NO_NETWORK = ["PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"]
_JOB_SOCKET = """\
[Unit]
Description=Starts a unit for each job of the pipeline {name}

# Each connection starts an instance of the service of the same name.
[Socket]
ListenStream={path}
Accept=yes
MaxConnections={connections}
# Whoever connects chooses what runs: the workers.
SocketMode=0660
SocketGroup=pipeline
RemoveOnStop=yes
# Otherwise systemd closes the socket after 200 jobs in two seconds.
TriggerLimitIntervalSec=0
"""
_JOB_SERVICE = """\
[Unit]
Description=A job of the pipeline {name}
StartLimitIntervalSec=0
# Failed jobs are in the ledger.
CollectMode=inactive-or-failed

[Service]
ExecStart=/opt/pipeline/venv/bin/python -P -s -m worker.sandbox.job
WorkingDirectory=/
Environment=PYTHONPATH=/opt/pipeline/source PYTHONUNBUFFERED=1
StandardInput=socket
StandardOutput=journal
StandardError=journal
SyslogIdentifier={name}
DynamicUser=yes
# Instances would share one user otherwise, and could reach each other's processes.
User=j%i
# Nothing outlives the job, also if one of its processes stops the supervisor.
WatchdogSec=60s
WatchdogSignal=SIGKILL
NotifyAccess=main
KillMode=control-group
KillSignal=SIGKILL
TimeoutStopSec=5s
RuntimeMaxSec={seconds}
OOMPolicy=continue
MemoryMax={memory}M
MemorySwapMax=0
TasksMax=512
Slice=pipeline.slice
LimitCORE=0
Nice=10
# A job's own process forbids more to itself and its programs: most files, sockets and system calls
# (worker/sandbox/job_confinement.py). What is here is what it cannot, or what costs little: each of
# SystemCallFilter=, ProtectKernelTunables= and PrivateDevices= would take 6 to 17 ms of CPU.
CapabilityBoundingSet=
NoNewPrivileges=yes
DevicePolicy=closed
PrivateIPC=yes
# Shared with others otherwise.
TemporaryFileSystem=/dev/shm:mode=1777
InaccessiblePaths=/etc/pipeline -/var/lib/private
ProtectHome=yes
ProtectProc=invisible
RestrictNamespaces=yes
UMask=0077
# Programs such as a JVM write code and run it: no MemoryDenyWriteExecute=.
SystemCallArchitectures=native
"""


def units(
    pipelines: Mapping[str, Pipeline],
    cores: int,
    resolvers: Sequence[str] = (),
    *,
    web: Web | None = None,
    cameras: Collection[str] = (),
) -> dict[str, str]:
    """Return path below systemd's folder of units -> text of the drop-ins and of jobs' units.

    Args:
        pipelines: The machine's, by name.
        cores: Its number of cores, each of which has a process for transforms.
        resolvers: Addresses of the machine's name servers.
        web: The page, None for its defaults.
        cameras: The names of those that send messages to the machine's broker.

    Raises:
        InvalidSettings: A transform is unknown, or its parameters are wrong.
    """  # noqa: DOC502  raised by needs_preparation
    started = [f"pipeline-worker@{name}.timer" for name in pipelines]
    started += [f"pipeline-{name}.service" for name in services(web or Web(), cameras)]
    migrate = f"[Unit]\nOnSuccess={' '.join(started)}\n"
    if prepared := [name for name, one in pipelines.items() if needs_preparation(one)]:
        # Beside the migration: other pipelines do not wait for it.
        migrate += f"Wants={' '.join(f'pipeline-prepare@{name}.service' for name in prepared)}\n"
    files = {"pipeline-migrate.service.d/timers.conf": migrate}
    if cameras:
        loaded = [
            f"LoadCredential={one}:/etc/pipeline/credentials/{one}"
            for one in (f"{CAMERA}{name}" for name in cameras)
        ]
        files["pipeline-broker.service.d/cameras.conf"] = "\n".join(["[Service]", *loaded, ""])
    for name, pipeline in pipelines.items():
        # All of them together are limited by pipeline.slice.
        memory = _PASS_MIB + cores * pipeline.limits.memory_mb
        path = f"pipeline-worker@{name}.service.d/limits.conf"
        files[path] = f"[Service]\nMemoryMax={memory}M\n"
        if policy_of(pipeline) == COMMAND:
            files |= _job_units(pipeline, cores, resolvers)
    return files


def services(web: Web, cameras: Collection[str]) -> list[str]:
    """Return the names of the services that run beside the passes: `web` for pipeline-web.service.

    Args:
        web: The page.
        cameras: The names of those that send messages to the machine's broker.
    """
    found = ["web"] if web.enabled else []
    if web.enabled and web.exposed:
        found.append("proxy")
    return [*found, "broker", "ingest"] if cameras else found


def _write_files(settings: Settings, folder: Path) -> None:
    """Write the broker's password, new at every boot, and the proxy's configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / PASSWORD
    if settings.cameras and not password.exists():
        # Whole or absent: the installation may be repeated while the broker runs with it.
        part = folder / f".{PASSWORD}"
        part.touch(mode=0o600)
        part.write_text(secrets.token_urlsafe(32))
        part.rename(password)
    if settings.web.exposed:
        (folder / "Caddyfile").write_text(caddyfile(settings.web))


def _job_units(pipeline: Pipeline, cores: int, resolvers: Sequence[str]) -> dict[str, str]:
    """Return the units of a pipeline whose jobs start programs, and what its worker needs."""
    name = pipeline.name
    unit, path = f"pipeline-job-{name}", f"/run/pipeline-job-{name}.socket"
    # One for each core, one more that is ready for the next job, and those that are just ending.
    socket = _JOB_SOCKET.format(name=name, path=path, connections=4 * cores + 4)
    service = _JOB_SERVICE.format(
        name=name,
        memory=pipeline.limits.memory_mb + _JOB_MIB,
        seconds=pipeline.limits.seconds + _PASS_SECONDS,
    )
    lines = [f"LoadCredential={one}:/etc/pipeline/secrets/{one}" for one in pipeline.secrets]
    lines += _network(pipeline.allow, resolvers) if pipeline.network else _NO_NETWORK
    drop_in = f"[Unit]\nWants={unit}.socket\nAfter={unit}.socket\n\n"
    drop_in += f"[Service]\nEnvironment=JOB_SOCKET={path}\n"
    return {
        f"{unit}.socket": socket,
        f"{unit}@.service": service + "\n".join(lines) + "\n",
        f"pipeline-worker@{name}.service.d/jobs.conf": drop_in,
    }


def _network(allow: Sequence[str], resolvers: Sequence[str]) -> list[str]:
    """Return the lines of a job's unit that restrict its network.

    systemd.resource-control(5): an address that is allowed and denied is allowed. Programs ask the
    machine's name servers themselves: its own resolver listens on the loopback, where other
    services do too.
    """
    allowed = " ".join([*allow, *resolvers])
    return [
        # Programs list the machine's addresses by netlink.
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        f"IPAddressDeny={' '.join(_PRIVATE)}",
        *([f"IPAddressAllow={allowed}"] if allowed else []),
        f"BindReadOnlyPaths=-{_RESOLVERS[0]}:/etc/resolv.conf",
    ]


def _name_servers(paths: Iterable[Path]) -> list[str]:
    """Return the addresses of the name servers that the first of these files lists."""
    for path in paths:
        with suppress(OSError):
            words = [line.split() for line in path.read_text("utf-8", "replace").splitlines()]
            listed = [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1]
            return [one for one in listed if _is_address(one)]
    return []


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return "%" not in str(ipaddress.ip_address(text))
    return False


def main(path: str, units_folder: str, files_folder: str) -> int:
    """Return the exit status: 0 written, 2 the settings are wrong."""
    try:
        settings = load(Path(path), os.environ, ())
        found = units(
            settings.pipelines,
            os.cpu_count() or 1,
            _name_servers(_RESOLVERS),
            web=settings.web,
            cameras=settings.cameras,
        )
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in found.items():
        target = Path(units_folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    _write_files(settings, Path(files_folder))
    running = services(settings.web, settings.cameras)
    print(*(package for service, package in _PACKAGES.items() if service in running))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
