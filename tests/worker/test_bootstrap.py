"""A machine's first step: the part of the worker that user-data brings fetches the whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.user_data import archive as worker_archive
from tests.worker.pipeline import Pipeline

ARCHIVE = worker_archive.pack()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What cloud-init has written."""
    folder = tmp_path / "source"
    for name, text in worker_archive.bootstrap().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def fetch(pipeline: Pipeline, source: Path) -> subprocess.CompletedProcess[str]:
    """By the interpreter alone: nothing is installed yet."""
    text = pipeline.settings.read_text()
    if "[archive]" not in text:
        text += f'[archive]\nkey = "{ARCHIVE.key}"\nsha256 = "{ARCHIVE.sha256}"\n'
        pipeline.settings.write_text(text)
    return subprocess.run(
        [sys.executable, "-S", "-m", "worker.bootstrap", str(pipeline.settings), str(source)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def put(pipeline: Pipeline, content: bytes) -> None:
    """Put something where the worker should be."""
    pipeline.s3.put_object(Bucket=pipeline.quarantine, Key=ARCHIVE.key, Body=content)


def test_the_whole_worker_arrives_once(unversioned: Pipeline, source: Path) -> None:
    put(unversioned, ARCHIVE.content)
    assert fetch(unversioned, source).returncode == 0
    assert worker_archive.files(source / "worker") == worker_archive.files()
    unversioned.s3.delete_object(Bucket=unversioned.quarantine, Key=ARCHIVE.key)
    assert fetch(unversioned, source).returncode == 0  # a boot later it needs no store


def test_another_file_is_not_taken_for_it(unversioned: Pipeline, source: Path) -> None:
    put(unversioned, b"print('somebody else')")
    refused = fetch(unversioned, source)
    assert refused.returncode == 1
    assert f"{ARCHIVE.key} in bucket {unversioned.quarantine} is not the worker" in refused.stderr
    assert not (source / "worker" / "__main__.py").exists()


def test_where_it_is_missing_the_remedy_is_told(unversioned: Pipeline, source: Path) -> None:
    refused = fetch(unversioned, source)
    assert refused.returncode == 1
    assert "NoSuchKey" in refused.stderr
    assert "run `./pipeline refresh` and `up`" in refused.stderr
    put(unversioned, ARCHIVE.content)
    assert fetch(unversioned, source).returncode == 0


def test_bad_settings_are_named(unversioned: Pipeline, source: Path) -> None:
    unversioned.settings.write_text(unversioned.settings.read_text().replace("endpoint =", "end ="))
    refused = fetch(unversioned, source)
    assert refused.returncode == 2
    assert "store.endpoint is missing: set it." in refused.stderr
