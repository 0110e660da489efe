"""`python -m worker.units SETTINGS FOLDER`: write what the machine's units need of the settings.

The templates in cloud-init/ name no pipeline, and user-data does not know how many cores the
machine has: a VM that is resized keeps its user-data. So `install` writes these drop-ins
(systemd.unit(5)) at every boot. Standard library only: no package is installed yet.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from worker.errors import InvalidSettings
from worker.settings import Pipeline, load

#: What a pass needs beside its transforms' processes: measured 45 MiB, and pages of its files.
_PASS_MIB = 256


def drop_ins(pipelines: Mapping[str, Pipeline], cores: int) -> dict[str, str]:
    """Return path below systemd's folder of units -> text of the drop-ins.

    Args:
        pipelines: The machine's, by name.
        cores: Its number of cores, each of which has a process for transforms.
    """
    timers = " ".join(f"pipeline-worker@{name}.timer" for name in pipelines)
    files = {"pipeline-migrate.service.d/timers.conf": f"[Unit]\nOnSuccess={timers}\n"}
    for name, pipeline in pipelines.items():
        # All of them together are limited by pipeline.slice.
        memory = _PASS_MIB + cores * pipeline.limits.memory_mb
        path = f"pipeline-worker@{name}.service.d/limits.conf"
        files[path] = f"[Service]\nMemoryMax={memory}M\n"
    return files


def main(path: str, folder: str) -> int:
    """Return the exit status: 0 written, 2 the settings are wrong."""
    try:
        settings = load(Path(path), os.environ, ())
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in drop_ins(settings.pipelines, os.cpu_count() or 1).items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
