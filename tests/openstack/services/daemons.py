"""OpenStack's processes: how each is started, and what it answers when it is ready."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local import processes
from tests.openstack.services.errors import ServicesError
from tests.openstack.services.layout import HOST, Layout
from tests.openstack.services.probing import PATIENCE_SECONDS, answers, until

STAND_INS = Path(__file__).parent / "stand_ins"
THREADS = 4
#: Queues that their readers must have created before requests are sent.
QUEUES = ("conductor", "scheduler", "compute.fake-host", "taskmanager")


@dataclass(frozen=True)
class Daemon:
    """One process; `url` is what it answers, "" where it serves no HTTP."""

    name: str
    command: list[str]
    url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def identities(layout: Layout) -> list[Daemon]:
    """Both Keystones."""
    ports = layout.ports
    return [
        _wsgi(layout, "keystone", ports.keystone, "keystone.wsgi.api", _keystone(layout, "")),
        _wsgi(
            layout,
            "keystone-database",
            ports.keystone_database,
            "keystone.wsgi.api",
            _keystone(layout, "-database"),
        ),
    ]


def apis(layout: Layout) -> list[Daemon]:
    """What answers over HTTP besides, Trove excepted."""
    etc, ports = str(layout.etc), layout.ports
    return [
        _wsgi(
            layout,
            "placement",
            ports.placement,
            "placement.wsgi.api",
            {"OS_PLACEMENT_CONFIG_DIR": etc},
        ),
        _wsgi(layout, "glance", ports.glance, "glance.wsgi.api", {"OS_GLANCE_CONFIG_DIR": etc}),
        _wsgi(
            layout,
            "neutron",
            ports.neutron,
            "neutron.wsgi.api",
            {
                "OS_NEUTRON_CONFIG_DIR": etc,
                "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini",
            },
        ),
        _wsgi(
            layout,
            "nova-api",
            ports.nova,
            "nova.wsgi.osapi_compute",
            {"OS_NOVA_CONFIG_DIR": etc},
        ),
    ]


def workers(layout: Layout) -> list[Daemon]:
    """Nova's and Trove's other parts, and Trove's API."""
    nova = ["--config-file", str(layout.etc / "nova.conf")]
    trove = ["--config-file", str(layout.etc / "trove.conf")]
    compute = [layout.program("python"), str(STAND_INS / "nova_compute.py")]
    return [
        Daemon("nova-conductor", [layout.program("nova-conductor"), *nova]),
        Daemon("nova-scheduler", [layout.program("nova-scheduler"), *nova]),
        Daemon("nova-compute", [*compute, *nova]),
        Daemon("trove-taskmanager", [layout.program("trove-taskmanager"), *trove]),
        Daemon(
            "trove-api", [layout.program("trove-api"), *trove], layout.url(layout.ports.trove, "/")
        ),
    ]


def start(layout: Layout, daemon: Daemon) -> None:
    """Start it, unless it runs; nothing is waited for."""
    if not processes.is_running(layout.root, daemon.name):
        extra = {**environment(layout), **daemon.environment}
        processes.start(layout.root, daemon.name, daemon.command, extra=extra)


def await_answer(layout: Layout, daemon: Daemon) -> None:
    """Wait until it serves."""
    if daemon.url:
        until(layout, daemon.name, lambda: answers(daemon.url))


def await_queues(layout: Layout) -> None:
    """Wait until everybody who reads messages does."""
    port, seconds = str(layout.ports.rabbit), str(PATIENCE_SECONDS)
    command = [layout.program("python"), str(STAND_INS / "queues.py"), port, seconds, *QUEUES]
    run(layout, command)


def run(layout: Layout, command: list[str]) -> None:
    """Run a program of the environment to its end; raises ServicesError when it fails."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=layout.run,
        env=processes.environment(layout.root, environment(layout)),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ServicesError(f"{Path(command[0]).name} failed: {last}")


def environment(layout: Layout) -> dict[str, str]:
    """What all of them get: the stand-ins, and a home that is not the user's."""
    return {
        "PYTHONPATH": str(STAND_INS),
        "PYTHONWARNINGS": "ignore",
        "SPT_NOENV": "1",  # else setproctitle writes over the marker by which we find it
        "HOME": str(layout.run),
        "XDG_CACHE_HOME": str(layout.environment / "cache"),  # of entry points: a faster start
        "STAND_IN_GUESTS": str(layout.run / "guests"),
    }


def _keystone(layout: Layout, which: str) -> dict[str, str]:
    return {"OS_KEYSTONE_CONFIG_FILES": str(layout.etc / f"keystone{which}.conf")}


def _wsgi(
    layout: Layout, name: str, port: int, module: str, environment: Mapping[str, str]
) -> Daemon:
    command = [
        layout.program("uwsgi"),
        *("--http-socket", f"{HOST}:{port}", "--module", f"{module}:application"),
        *("-H", str(layout.environment), "--need-app", "--die-on-term", "--disable-logging"),
        *("--enable-threads", "--threads", str(THREADS), "--buffer-size", "65535"),
        # Plain --http-socket resets a connection whose request it did not read to the end.
        *("--add-header", "Connection: close", "--post-buffering", "65536"),
        # Neutron asks uWSGI for it.
        *("--set", "start-time=%t", "--pyargv", ""),
    ]
    return Daemon(name, command, f"http://{HOST}:{port}/", environment)
