"""What `web`, `upload`, `mqtt` and `rotation` change in what the program asks of the engine."""

from pathlib import Path

import pytest

from tests.unit.program import Run, run_program, written
from tests.unit.stack_settings import stack_settings
from worker import settings as worker_settings

pytestmark = pytest.mark.usefixtures("clouds_yaml")

UPLOAD = {"cidrs": ["192.0.2.0/24", "2001:db8::/32"], "domain": "upload.example.org"}
CAMERAS = {"door": {"pipeline": "negatives"}, "gate-2": {"pipeline": "negatives"}}
MQTT = {"cidrs": ["198.51.100.0/24"], "cameras": CAMERAS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


def plan(folder: Path, **settings: object) -> Run:
    return run_program(stack_settings(folder, **settings))


def read_by_worker(run: Run, folder: Path) -> worker_settings.Settings:
    path = folder / "worker.toml"
    path.write_text(written(run)["/etc/pipeline/worker.toml"], encoding="utf-8")
    return worker_settings.load(path, {}, ())


def test_the_worker_reads_the_default(folder: Path, tmp_path: Path) -> None:
    read = read_by_worker(plan(folder), tmp_path)
    assert read.web == worker_settings.Web()
    assert read.cameras == {}


def test_the_worker_reads_what_is_open(folder: Path, tmp_path: Path) -> None:
    upload = {**UPLOAD, "maxFileMb": 12, "maxFiles": 3, "maxPerMinute": 60}
    run = plan(folder, upload=upload, mqtt=MQTT, rotation={"uploadToken": 4})
    read = read_by_worker(run, tmp_path)
    assert read.web == worker_settings.Web(
        domain="upload.example.org",
        exposed=True,
        token_round=4,
        max_file_mb=12,
        max_files=3,
        max_per_minute=60,
    )
    assert {name: each.pipeline for name, each in read.cameras.items()} == {
        "door": "negatives",
        "gate-2": "negatives",
    }


def test_without_the_page_nothing_is_served(folder: Path, tmp_path: Path) -> None:
    read = read_by_worker(plan(folder, web="false", mqtt=MQTT), tmp_path)
    assert (read.web.enabled, read.web.exposed, len(read.cameras)) == (False, False, 2)
