"""`python -m worker.installation`: locked wheels are unpacked, or all is left to pip."""

import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from clients.archive import LOCK, WORKER
from tests.worker.test_preparation import MODULE, NAME, VERSION, make_wheel, zipped
from worker.errors import ServiceUnavailable
from worker.wheels import Index, configured_index, install, rank, read_lock

WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index with what is in the folder `served`."""
    served = tmp_path / "served"
    (served / NAME).mkdir(parents=True)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Index(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def publish(served: Path, file_name: str, sha256: str) -> None:
    """Offer one file of the package."""
    files = [
        {"filename": file_name, "url": f"../{file_name}", "hashes": {"sha256": sha256}},
        {"filename": f"{NAME}-{VERSION}.tar.gz", "url": "../absent", "hashes": {"sha256": sha256}},
    ]
    (served / NAME / "index.html").write_text(json.dumps({"files": files}))


def lock(folder: Path, sha256: str) -> Path:
    path = folder / "requirements.txt"
    path.write_text(
        f"# What it needs.\n{NAME}=={VERSION} \\\n    --hash=sha256:{sha256}\n    # via us\n"
    )
    return path


def test_packages_of_a_lock_can_be_imported(tmp_path: Path, index: Index) -> None:
    sha256 = make_wheel(tmp_path / "served")
    publish(tmp_path / "served", WHEEL, sha256)
    install(lock(tmp_path, sha256), tmp_path / "venv", index)
    code = f"import {NAME}, importlib.metadata as m; print({NAME}.VALUE, m.version('{NAME}'))"
    python = tmp_path / "venv/bin/python"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{MODULE.split()[-1]} {VERSION}\n"


def test_another_file_of_the_name_is_refused(tmp_path: Path, index: Index) -> None:
    sha256 = make_wheel(tmp_path / "served")
    publish(tmp_path / "served", WHEEL, sha256)
    (tmp_path / "served" / WHEEL).write_bytes(zipped({f"{NAME}.py": "VALUE = 8\n"}))
    with pytest.raises(ServiceUnavailable, match="another file than the locked one"):
        install(lock(tmp_path, sha256), tmp_path / "venv", index)
    assert not list((tmp_path / "venv").rglob(f"{NAME}*"))


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        (f"{NAME}-{VERSION}-cp27-cp27m-any.whl", f"no wheel of {NAME} for this machine"),
        (f"{NAME}-{VERSION}-py3-none-any.whl", "has data files"),
    ],
)
def test_what_cannot_be_unpacked_is_left_to_pip(
    tmp_path: Path, index: Index, file_name: str, reason: str
) -> None:
    served = tmp_path / "served"
    make_wheel(served)
    path = served / file_name
    path.write_bytes(zipped({f"{NAME}-{VERSION}.data/scripts/run": "#!python\n"}))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    publish(served, file_name, sha256)
    with pytest.raises(ServiceUnavailable, match=reason):
        install(lock(tmp_path, sha256), tmp_path / "venv", index)


@pytest.mark.parametrize(
    "page",
    [
        *("<!DOCTYPE html><a href='x.whl'>x</a>", "{}", '{"files": [{}]}'),
        *('{"files": [{"hashes": null}]}', "[" * 100_000),
    ],
    ids=["HTML", "no files", "no hashes", "null", "nested"],
)
def test_index_without_json_is_left_to_pip(tmp_path: Path, index: Index, page: str) -> None:
    (tmp_path / "served" / NAME / "index.html").write_text(page)
    with pytest.raises(ServiceUnavailable, match="cannot be used"):
        install(lock(tmp_path, "0" * 64), tmp_path / "venv", index)


def test_pip_installs_what_cannot_be_unpacked(tmp_path: Path, index: Index) -> None:
    """Only pip knows the folder with the wheel; then the lock has another hash."""
    sha256 = make_wheel(tmp_path / "served")
    venv = tmp_path / "venv"

    def run(sha256: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(lock(tmp_path, sha256)), str(venv), "/bin/false"]
        return subprocess.run(
            [sys.executable, "-S", "-m", "worker.installation", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=WORKER.parent,
            env={"PIP_FIND_LINKS": str(tmp_path / "served"), "PIP_INDEX_URL": index.url},
        )

    answer = run(sha256)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "without pip: pip is configured with find-links." in answer.stdout
    subprocess.run([venv / "bin/python", "-c", f"import {NAME}"], check=True)
    shutil.rmtree(venv)
    answer = run("0" * 64)
    assert answer.returncode == 1
    assert answer.stderr == (
        "The packages of requirements.txt cannot be installed:"
        f" {NAME}=={VERSION} has the SHA-256 {sha256},"
        f" not {'0' * 64}.\n"
    )


def test_the_workers_own_lock_needs_no_pip() -> None:
    packages = read_lock((WORKER / LOCK).read_text())
    assert {"pillow", "psycopg-binary", "uvicorn"} <= set(packages)
    assert all(packages.values())


@pytest.mark.parametrize(
    "line", ["tinything==1.0", "tinything>=1.0 --hash=sha256:" + "0" * 64, "-r other.txt"]
)
def test_lock_with_anything_but_hashed_versions_is_left_to_pip(line: str) -> None:
    with pytest.raises(ServiceUnavailable, match="with a condition"):
        read_lock(line)


@pytest.mark.parametrize(
    ("text", "environment", "found"),
    [
        ("", {}, Index("https://pypi.org/simple")),
        ("[global]\ncert = /c\ntimeout = 9\n", {}, Index("https://pypi.org/simple", "/c")),
        (
            "[global]\ntrusted-host = a\nindex-url = https://a/s/\n",
            {"HOME": "/root"},
            Index("https://a/s"),
        ),
        ("[install]\nindex-url = https://a\n", {"PIP_INDEX_URL": "http://b"}, Index("http://b")),
    ],
)
def test_pips_settings_name_the_index(
    text: str, environment: Mapping[str, str], found: Index
) -> None:
    assert configured_index({"/etc/pip.conf": text}, environment) == found


@pytest.mark.parametrize(
    "text",
    [
        "[global]\nextra-index-url = https://a\n",
        "[global]\nclient-cert = /c\n",
        "[install]\nproxy = http://a\n",
        "[global]\nindex-url = https://user:secret@a/simple\n",
        "[global]\nindex-url = file:///srv\n",
        "no section\n",
    ],
)
def test_settings_that_only_pip_knows_are_left_to_it(text: str) -> None:
    with pytest.raises(ServiceUnavailable) as refusal:
        configured_index({"/etc/pip.conf": text}, {})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("tags", "fit"),
    [
        ("py3-none-any", (0, 0, 0)),
        ("py2.py3-none-any", (0, 0, 0)),
        ("py311-none-any", (0, 0, 0)),
        ("py314-none-any", None),
        ("py2-none-any", None),
        ("cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64", (2, 2, 28)),
        ("cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64", (2, 2, 17)),
        ("cp313-cp313-manylinux_2_42_x86_64", None),
        ("cp313-cp313-manylinux_2_28_aarch64", None),
        ("cp313-cp313-musllinux_1_2_x86_64", None),
        ("cp313-cp313t-manylinux_2_28_x86_64", None),
        ("cp312-cp312-manylinux_2_28_x86_64", None),
        ("cp39-abi3-manylinux_2_28_x86_64", (1, 2, 28)),
        ("cp314-abi3-manylinux_2_28_x86_64", None),
        ("cp313-cp313-macosx_11_0_arm64", None),
        ("cp313-cp313-win_amd64", None),
    ],
)
def test_wheels_of_other_interpreters_do_not_fit(tags: str, fit: tuple[int, ...] | None) -> None:
    assert rank(f"a_b-1.0-{tags}.whl", (3, 13), "cp313", "x86_64", (2, 41)) == fit
