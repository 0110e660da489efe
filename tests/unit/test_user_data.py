"""user-data: the same bytes everywhere, below Nova's limit, good for cloud-init and systemd."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserDataTooLarge
from infra.user_data import archive as worker_archive
from infra.user_data import document as user_data
from infra.user_data.archive import WORKER
from infra.user_data.document import CLOUD_INIT, NOVA_LIMIT
from worker import units as worker_units
from worker.settings import Limits, Package, Pipeline

#: After base64, as Nova counts; the rest of its 65,535 is for three certificates and long secrets.
BUDGET = 48 * 1024
INTERVAL = "7s"


def sample(
    source: dict[str, str], pieces: dict[str, str], settings: str = 'stack = "unit"\n'
) -> dict[str, Any]:
    names = ("database-admin-password", "database-password", "s3-access-key", "s3-secret-key")
    return user_data.document(
        source,
        pieces,
        interval=INTERVAL,
        settings=settings,
        credentials={name: f"secret of {name}" for name in names},
        secrets={"source-database": "secret of a pipeline"},
        root_certificate="pem",
    )


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return sample(worker_archive.bootstrap(), user_data.templates())


@pytest.fixture(scope="module")
def packed(rendered: dict[str, Any]) -> str:
    return user_data.pack(rendered)


def unpack(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode()


def files(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {entry["path"]: entry for entry in document["write_files"]}


def tool(name: str, *, why: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {why}")
    return found


def test_document_survives_packing(rendered: dict[str, Any], packed: str) -> None:
    text = unpack(packed)
    assert text.startswith("#cloud-config\n")
    assert json.loads(text.partition("\n")[2]) == rendered


def test_size_leaves_a_wide_margin(packed: str) -> None:
    """Half of the limit: enough is left for certificates and later additions."""
    assert len(packed) < BUDGET / 2


def test_five_pipelines_take_little_more(packed: str) -> None:
    """Each with long bucket names and two kilobytes of parameters that do not compress."""
    tables = ""
    for name in ("negatives", "thumbs", "inverted", "portraits", "from-thumbs"):
        noise = [hashlib.sha256(f"{name}{n}".encode()).hexdigest() for n in range(35)]
        values = {
            "transform": "negate",
            "parameters": json.dumps({"words": noise}),
            **{role: f"{name}-{role}-{noise[0]}"[:63] for role in ("input", "output")},
            "ignore": [".DS_Store", "Thumbs.db", "desktop.ini", "._*"],
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        tables += "\n".join(["", f"[pipelines.{name}]", *lines, ""])
    text = user_data.pack(sample(worker_archive.bootstrap(), user_data.templates(), tables))
    assert len(packed) < len(text) < BUDGET


def test_only_root_can_read_secrets(rendered: dict[str, Any]) -> None:
    modes = {path: entry["permissions"] for path, entry in files(rendered).items()}
    assert modes.pop("/etc/pipeline/database-root.crt") == "0644"
    secret = {path for path in modes if path.startswith("/etc/pipeline/")}
    assert len(secret) == 6  # worker.toml too: parameters of a pipeline may be secret
    assert {modes[path] for path in secret} == {"0600"}
    assert {entry["owner"] for entry in rendered["write_files"]} == {"root:root"}


def test_only_the_installer_is_enabled(rendered: dict[str, Any]) -> None:
    (command,) = rendered["runcmd"]
    assert command[:2] == ["systemctl", "enable"]
    assert command[-1] == "pipeline-install.service"
    timer = files(rendered)["/etc/systemd/system/pipeline-worker@.timer"]["content"]
    assert f"OnUnitInactiveSec={INTERVAL}\n" in timer
    assert not any("@INTERVAL@" in entry["content"] for entry in rendered["write_files"])


def copied(folder: Path, umask: int) -> tuple[Path, Path]:
    """Copies of worker/ and cloud-init/ as another clone would have them."""
    before = os.umask(umask)
    try:
        for source, name in ((WORKER, "worker"), (CLOUD_INIT, "cloud-init")):
            shutil.copytree(source, folder / name, copy_function=shutil.copyfile)
    finally:
        os.umask(before)
    (folder / "worker" / "__pycache__").mkdir(exist_ok=True)
    (folder / "worker" / "__pycache__" / "x.py").write_text("stale", encoding="utf-8")
    for path in folder.rglob("*"):
        os.utime(path, (umask, umask))
    return folder / "worker", folder / "cloud-init"


def test_same_bytes_from_every_clone(tmp_path: Path, packed: str) -> None:
    for umask in (0o022, 0o077):
        folder = tmp_path / f"{umask:o}"
        folder.mkdir(mode=0o700)
        worker, cloud_init = copied(folder, umask)
        other = sample(worker_archive.bootstrap(worker), user_data.templates(cloud_init))
        with worker_archive.pack(worker_archive.files(worker)) as archive:
            assert worker_archive.digest(archive) == worker_archive.describe().sha256
        assert user_data.pack(other) == packed


PACK = """
import json, sys
from infra.user_data import archive as worker_archive
from infra.user_data import document as user_data
document = json.load(sys.stdin)
source = worker_archive.bootstrap()
for entry in document["write_files"]:
    path = entry["path"].removeprefix("/opt/pipeline/source/")
    entry["content"] = source.get(path, entry["content"])
sys.stdout.write(user_data.pack(document) + worker_archive.describe().sha256)
"""


def pythons() -> list[str]:
    """This interpreter and every other supported one that starts (a pyenv shim may not)."""
    found = [sys.executable]
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        if (
            path
            and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            found.append(path)
    return found


@pytest.mark.parametrize("python", pythons())
def test_same_bytes_from_every_python(python: str, rendered: dict[str, Any], packed: str) -> None:
    """The wheel of zopfli uses the stable ABI, so other interpreters can use our packages."""
    path = os.pathsep.join([str(CLOUD_INIT.parent), *(p for p in sys.path if "-packages" in p)])
    done = subprocess.run(
        [python, "-c", PACK],
        input=json.dumps(rendered),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == packed + worker_archive.describe().sha256


def test_oversized_user_data_names_its_largest_files(rendered: dict[str, Any]) -> None:
    noise = base64.b64encode(os.urandom(60_000)).decode()
    big = {**rendered, "write_files": [*rendered["write_files"], {"path": "/x", "content": noise}]}
    with pytest.raises(
        UserDataTooLarge, match=rf"Nova takes {NOVA_LIMIT:,}.*\(compressed bytes: /x"
    ):
        user_data.pack(big)


def test_cloud_init_accepts_it(tmp_path: Path, packed: str) -> None:
    cloud_init = tool("cloud-init", why="the document's schema is not checked")

    def check(text: str) -> subprocess.CompletedProcess[str]:
        document = tmp_path / "user-data"
        document.write_text(text, encoding="utf-8")
        command = [cloud_init, "schema", "--config-file", str(document)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = check(unpack(packed))
    assert good.returncode == 0, good.stdout + good.stderr
    assert check(unpack(packed).replace('"0644"', "420")).returncode != 0


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


@pytest.fixture
def units(tmp_path: Path, rendered: dict[str, Any]) -> list[Path]:
    """Three pipelines' units as files; programs that exist on the machine only are replaced."""
    found = []
    of_settings = worker_units.units(PIPELINES | {"rows": ROWS}, cores=2, resolvers=["10.0.0.2"])
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
            text = entry["content"].replace(PYTHON, "/bin/true")
            unit.write_text(text.replace("/opt/pipeline/install", "/bin/true"), encoding="utf-8")
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
    # install, migrate, postinstall, slice; socket and service of jobs; three of each pipeline
    assert len(units) == 4 + 2 + 3 * 3
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
            "[Unit]\nOnSuccess=pipeline-worker@negatives.timer pipeline-worker@from-thumbs.timer\n"
        ),
        "pipeline-worker@negatives.service.d/limits.conf": "[Service]\nMemoryMax=2256M\n",
        "pipeline-worker@from-thumbs.service.d/limits.conf": "[Service]\nMemoryMax=2256M\n",
    }


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


def write_drop_ins(tmp_path: Path, settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installation's step as it does: with the standard library only."""
    (tmp_path / "worker.toml").write_text(settings, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-S", "-m", "worker.units", tmp_path / "worker.toml", tmp_path / "units"],
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
        ("pipeline-job-rows@1-2-3.service", 45),
    ):
        good = analyze(*command, f"--threshold={threshold}", by_name[name])
        assert good.returncode == 0, good.stdout + good.stderr
    refused = analyze(*command, "--threshold=45", by_name["pipeline-install.service"])
    assert refused.returncode != 0


def test_worker_never_reaches_the_metadata_address(rendered: dict[str, Any]) -> None:
    unit = files(rendered)["/etc/systemd/system/pipeline-worker@.service"]["content"]
    (denied,) = [line for line in unit.splitlines() if line.startswith("IPAddressDeny=")]
    assert "169.254.169.254" in denied


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (
            {
                "apt-get": "exit 1",
                "python3": '[ "$1" != -V ] || echo Python 3.10.12; [ "$1" = -V ]',
            },
            "This image has Python 3.10.12, and the worker needs Python 3.11 or newer: set image to"
            " a newer one, such as Ubuntu-24.04.",
        ),
        ({"python3": "exit 0"}, "This image has no apt-get: set image to one of Ubuntu or Debian."),
    ],
    ids=["Python 3.10", "no apt-get"],
)
def test_unsuitable_image_is_one_sentence(
    tmp_path: Path, tools: dict[str, str], expected: str
) -> None:
    """Nothing is touched before it."""
    for name, script in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", CLOUD_INIT / "install"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected + "\n")
