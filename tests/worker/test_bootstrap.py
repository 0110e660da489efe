"""The bootstrap: the modules in user-data download the rest of the worker."""

import subprocess
import sys
from pathlib import Path

import pytest

from clients import archive as worker_archive
from tests.eventually import patience
from tests.worker.pipeline import Pipeline

ARCHIVE = worker_archive.describe()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that cloud-init has written."""
    folder = tmp_path / "source"
    for name, text in worker_archive.bootstrap().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def bootstrap(pipeline: Pipeline, source: Path) -> subprocess.CompletedProcess[str]:
    """Run the bootstrap without site-packages: nothing is installed yet."""
    text = pipeline.settings.read_text()
    if "[package]" not in text:
        text += f'[package]\nkey = "{ARCHIVE.key}"\nsha256 = "{ARCHIVE.sha256}"\n'
        pipeline.settings.write_text(text)
    return subprocess.run(
        [sys.executable, "-S", "-m", "worker.bootstrap", str(pipeline.settings), str(source)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * patience(),
    )


def packed() -> bytes:
    """The archive's content."""
    with worker_archive.pack(worker_archive.files()) as archive:
        return archive.read()


def contents(files: dict[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files.items()}


def put(pipeline: Pipeline, content: bytes) -> None:
    """Store something in place of the archive."""
    pipeline.s3.put_object(Bucket=pipeline.quarantine, Key=ARCHIVE.key, Body=content)


def test_the_worker_is_downloaded_once(unversioned: Pipeline, source: Path) -> None:
    put(unversioned, packed())
    assert bootstrap(unversioned, source).returncode == 0
    fetched = worker_archive.files(source / "worker")
    assert contents(fetched) == contents(worker_archive.files())
    unversioned.s3.delete_object(Bucket=unversioned.quarantine, Key=ARCHIVE.key)
    assert bootstrap(unversioned, source).returncode == 0  # the next boot needs no store


def test_an_archive_with_another_hash_is_refused(unversioned: Pipeline, source: Path) -> None:
    put(unversioned, b"print('somebody else')")
    refused = bootstrap(unversioned, source)
    assert refused.returncode == 1
    assert f"{ARCHIVE.key} in bucket {unversioned.quarantine} is not the worker" in refused.stderr
    assert not (source / "worker" / "__main__.py").exists()


def test_a_missing_archive_is_reported_with_a_remedy(unversioned: Pipeline, source: Path) -> None:
    refused = bootstrap(unversioned, source)
    assert refused.returncode == 1
    assert "NoSuchKey" in refused.stderr
    assert "run `./pipeline refresh` and `up`" in refused.stderr
    put(unversioned, packed())
    assert bootstrap(unversioned, source).returncode == 0


def test_bad_settings_are_reported(unversioned: Pipeline, source: Path) -> None:
    unversioned.settings.write_text(unversioned.settings.read_text().replace("endpoint =", "end ="))
    refused = bootstrap(unversioned, source)
    assert refused.returncode == 2
    assert "store.endpoint is missing: set it." in refused.stderr
