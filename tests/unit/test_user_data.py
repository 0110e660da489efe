"""user-data: the same bytes everywhere, below Nova's limit, good for cloud-init and systemd."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clients import archive as worker_archive
from clients.archive import WORKER
from infra.errors import UserDataTooLarge
from infra.user_data import document as user_data
from infra.user_data.document import CLOUD_INIT, NOVA_LIMIT
from tests.unit.sample_user_data import INTERVAL, files, sample, tool

#: After base64, as Nova counts; the rest of its 65,535 is for three certificates and long secrets.
BUDGET = 48 * 1024


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return sample(worker_archive.bootstrap(), user_data.templates())


@pytest.fixture(scope="module")
def packed(rendered: dict[str, Any]) -> str:
    return user_data.pack(rendered)


def unpack(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_document_survives_packing(rendered: dict[str, Any], packed: str) -> None:
    text = unpack(packed)
    assert text.startswith("#cloud-config\n")
    assert json.loads(text.partition("\n")[2]) == rendered


def test_size_leaves_a_wide_margin(packed: str) -> None:
    """Enough is left for certificates and later additions."""
    assert len(packed) < 0.42 * NOVA_LIMIT


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
    # What `worker build` leaves on an operator's computer.
    (folder / "worker" / "transforms" / "negate" / "kernels-x.so").write_bytes(
        b"for another machine"
    )
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
from clients import archive as worker_archive
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
