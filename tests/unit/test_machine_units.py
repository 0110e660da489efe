"""The machine's units: what systemd accepts, what each pipeline adds, and how they are confined."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients import archive as worker_archive
from clients.archive import WORKER
from infra.user_data import document as user_data
from tests.unit.sample_user_data import files, sample, tool
from worker import units as worker_units
from worker.settings import Limits, Package, Pipeline, Web

PIPELINES = {
    name: Pipeline(name, "negate", f"{name}-in", f"{name}-out", limits=Limits(memory_mb=500))
    for name in ("negatives", "from-thumbs")
}
ROWS = Pipeline(
    "rows",
    "package.module:function",
    "rows-in",
    "rows-out",
    folder=Package("key", "0" * 64),
    apt=("openjdk-17-jre-headless",),
    network=True,
    allow=("192.168.5.7/32",),
    secrets=("source-database",),
    limits=Limits(memory_mb=500, seconds=30),
)
PYTHON = "/opt/pipeline/venv/bin/python"


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return sample(worker_archive.bootstrap(), user_data.templates())


@pytest.fixture
def units(tmp_path: Path, rendered: dict[str, Any]) -> list[Path]:
    """Three pipelines' units as files; programs that exist on the machine only are replaced."""
    found = []
    of_settings = worker_units.units(
        PIPELINES | {"rows": ROWS}, cores=2, resolvers=["10.0.0.2"], cameras=["door"]
    )
    for name, text in of_settings.items():
        for unit in (tmp_path / name, tmp_path / name.replace("@.", "@1-2-3.")):
            unit.parent.mkdir(exist_ok=True)
            unit.write_text(text.replace(PYTHON, "/bin/true"), encoding="utf-8")
        if unit.parent == tmp_path:
            found.append(unit)
    for path, entry in files(rendered).items():
        of_each = [path.replace("@", f"@{one}") for one in (*PIPELINES, "rows")]
        names = of_each if "@" in path else [path]
        for name in names if path.startswith("/etc/systemd/system/") else []:
            unit = tmp_path / Path(name).name
            text = entry["content"]
            for program in (PYTHON, "/opt/pipeline/install", "/usr/bin/caddy"):
                text = text.replace(program, "/bin/true")
            unit.write_text(text, encoding="utf-8")
            found.append(unit)
    return found


Analyze = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def analyze() -> Analyze:
    program = tool("systemd-analyze", why="the units are not checked")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    return run


def test_systemd_accepts_the_units(units: list[Path], analyze: Analyze, tmp_path: Path) -> None:
    # install, migrate, postinstall, slice; page, proxy, broker and what stores cameras' messages;
    # socket and service of jobs; three of each pipeline
    assert len(units) == 4 + 4 + 2 + 3 * 3
    good = analyze("verify", *units)
    assert (good.returncode, good.stderr) == (0, "")
    service = tmp_path / "pipeline-job-rows@1-2-3.service"
    for broken in (service, tmp_path / "pipeline-worker@from-thumbs.service.d/limits.conf"):
        broken.write_text(broken.read_text().replace("[Service]", "[Service]\nNoSuchKey=1"))
    refused = analyze("verify", *units).stderr
    assert refused.count("NoSuchKey") == 2, refused


def test_pipelines_get_their_drop_ins() -> None:
    """A process for each core at its limit of memory, and the timers, which migrate starts."""
    assert worker_units.units(PIPELINES, cores=4) == {
        "pipeline-migrate.service.d/timers.conf": (
            "[Unit]\nOnSuccess=pipeline-worker@negatives.timer pipeline-worker@from-thumbs.timer "
            "pipeline-web.service\n"
        ),
        "pipeline-worker@negatives.service.d/limits.conf": "[Service]\nMemoryMax=2256M\n",
        "pipeline-worker@from-thumbs.service.d/limits.conf": "[Service]\nMemoryMax=2256M\n",
    }


@pytest.mark.parametrize(
    ("web", "cameras", "services"),
    [
        (Web(), [], ["web"]),
        (Web(enabled=False), [], []),
        (Web(exposed=True), [], ["web", "proxy"]),
        (Web(enabled=False), ["door"], ["broker", "ingest"]),
    ],
)
def test_migration_starts_the_services_that_the_settings_ask_for(
    web: Web, cameras: list[str], services: list[str]
) -> None:
    found = worker_units.units(PIPELINES, cores=1, web=web, cameras=cameras)
    started = found["pipeline-migrate.service.d/timers.conf"].split("timer")[-1].split()
    assert started == [f"pipeline-{name}.service" for name in services]


def test_broker_loads_the_password_of_each_camera() -> None:
    found = worker_units.units(PIPELINES, cores=1, cameras=["door", "gate"])
    assert found["pipeline-broker.service.d/cameras.conf"] == (
        "[Service]\n"
        "LoadCredential=camera-door:/etc/pipeline/credentials/camera-door\n"
        "LoadCredential=camera-gate:/etc/pipeline/credentials/camera-gate\n"
    )


def test_pipelines_that_start_programs_get_a_unit_for_each_job() -> None:
    """Not the others: a machine that only negates has the units that it always had."""
    added = worker_units.units(PIPELINES | {"rows": ROWS}, cores=4, resolvers=["10.0.0.2"])
    for name, text in worker_units.units(PIPELINES, cores=4).items():
        if name != "pipeline-migrate.service.d/timers.conf":
            assert added.pop(name) == text
    assert sorted(added) == [
        "pipeline-job-rows.socket",
        "pipeline-job-rows@.service",
        "pipeline-migrate.service.d/timers.conf",
        "pipeline-worker@rows.service.d/jobs.conf",
        "pipeline-worker@rows.service.d/limits.conf",
    ]
    migrate = added["pipeline-migrate.service.d/timers.conf"].splitlines()
    assert "Wants=pipeline-prepare@rows.service" in migrate
    socket = "/run/pipeline-job-rows.socket"
    worker = added["pipeline-worker@rows.service.d/jobs.conf"].splitlines()
    assert f"Environment=JOB_SOCKET={socket}" in worker
    assert f"ListenStream={socket}" in added["pipeline-job-rows.socket"].splitlines()


def test_jobs_get_their_settings_and_no_others() -> None:
    def lines(**changes: object) -> list[str]:
        units = worker_units.units({"rows": replace(ROWS, **changes)}, 4, ["10.0.0.2"])  # type: ignore[arg-type]
        return units["pipeline-job-rows@.service"].splitlines()

    online, offline = lines(), lines(network=False, allow=(), secrets=())
    credential = "LoadCredential=source-database:/etc/pipeline/secrets/source-database"
    assert [one for one in online if one.startswith("LoadCredential=")] == [credential]
    assert "MemoryMax=628M" in online
    assert "WatchdogSec=60s" in online
    assert f"RuntimeMaxSec={6 * 3600 + 30}" in online  # the pass that connected ends before
    assert "PrivateNetwork=yes" not in online
    (denied,) = [one for one in online if one.startswith("IPAddressDeny=")]
    _, _, networks = denied.partition("=")
    assert {"localhost", "link-local", "10.0.0.0/8", "fc00::/7"} < set(networks.split())
    assert "IPAddressAllow=192.168.5.7/32 10.0.0.2" in online
    assert "PrivateNetwork=yes" in offline
    assert not [one for one in offline if one.startswith(("LoadCredential=", "IPAddress"))]


TOML = """
stack = "stack"
machine = "vm"
store = { endpoint = "http://127.0.0.1:9", quarantine = "quarantine" }
database = { host = "db", name = "db", user = "worker", admin = "admin" }
pipelines.thumbs = { transform = "thumbnail", input = "a", output = "b", limits.memory_mb = 10 }
"""
OF_MACHINE = ("worker.toml", "units", "files")


def write_drop_ins(tmp_path: Path, settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installation's step as it does: with the standard library only."""
    (tmp_path / "worker.toml").write_text(settings, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-S", "-m", "worker.units", *(tmp_path / name for name in OF_MACHINE)],
        cwd=WORKER.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_machine_writes_the_drop_ins(tmp_path: Path) -> None:
    for _ in range(2):  # each boot
        done = write_drop_ins(tmp_path, TOML)
        assert (done.returncode, done.stderr) == (0, "")
    written = tmp_path / "units/pipeline-worker@thumbs.service.d/limits.conf"
    assert written.read_text() == f"[Service]\nMemoryMax={256 + 10 * (os.cpu_count() or 1)}M\n"
    done = write_drop_ins(tmp_path, TOML.replace("memory_mb = 10", "memory_mb = 0"))
    assert (done.returncode, done.stderr) == (
        2,
        "pipelines.thumbs.limits.memory_mb is 0: it must be above 0.\n",
    )


def test_machine_writes_what_its_interfaces_need(tmp_path: Path) -> None:
    """The broker's password is made once per boot: /run is empty then."""
    done = write_drop_ins(tmp_path, TOML)
    assert (done.stdout.split(), list((tmp_path / "files").iterdir())) == ([], [])
    more = "web.exposed = true\ncameras.door.pipeline = 'thumbs'\n"
    seen = set()
    for _ in range(2):  # an installation that is repeated
        assert write_drop_ins(tmp_path, TOML + more).stdout.split() == ["caddy", "mosquitto"]
        seen.add((tmp_path / "files/broker-password").read_text())
    (password,) = seen
    assert len(password) > 40
    assert (tmp_path / "files/broker-password").stat().st_mode & 0o777 == 0o600
    assert "admin off" in (tmp_path / "files/Caddyfile").read_text()
    (tmp_path / "files/broker-password").unlink()
    write_drop_ins(tmp_path, TOML + more)
    assert (tmp_path / "files/broker-password").read_text() != password


def test_all_pipelines_are_limited_together(rendered: dict[str, Any]) -> None:
    """Their units are in one slice, which alone is limited by the machine's size."""
    found = files(rendered)
    worker = found["/etc/systemd/system/pipeline-worker@.service"]["content"]
    limits = found["/etc/systemd/system/pipeline.slice"]["content"]
    assert "Slice=pipeline.slice\n" in worker
    assert {"MemoryMax=80%", "MemorySwapMax=0", "CPUWeight=20"} <= set(limits.splitlines())


def test_worker_is_confined(units: list[Path], analyze: Analyze) -> None:
    """Exposure in tenths, of 100 at most; the installer is far above."""
    by_name = {unit.name: unit for unit in units}
    command = ("security", "--offline=yes")
    # A job's own process adds filters of system calls and files that systemd does not count.
    for name, threshold in (
        ("pipeline-worker@negatives.service", 20),
        *((f"pipeline-{name}.service", 25) for name in ("web", "ingest", "broker", "proxy")),
        ("pipeline-job-rows@1-2-3.service", 45),
    ):
        good = analyze(*command, f"--threshold={threshold}", by_name[name])
        assert good.returncode == 0, good.stdout + good.stderr
    refused = analyze(*command, "--threshold=45", by_name["pipeline-install.service"])
    assert refused.returncode != 0


@pytest.mark.parametrize("name", ["worker@", "web", "ingest", "broker", "proxy"])
def test_services_never_reach_the_metadata_address(rendered: dict[str, Any], name: str) -> None:
    unit = files(rendered)[f"/etc/systemd/system/pipeline-{name}.service"]["content"]
    (denied,) = [line for line in unit.splitlines() if line.startswith("IPAddressDeny=")]
    assert "169.254.169.254" in denied
