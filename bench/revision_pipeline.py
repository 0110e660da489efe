"""A pipeline whose worker is that of a revision, which may be older than these settings."""

import json
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.errors import RevisionUnusable
from bench.pipeline import WorkerPipeline
from bench.revision import Revision
from local.object_store import ObjectStore
from local.postgres import PostgreSQL

_REFUSED = 2  # exit status of a worker that does not take its settings


class RevisionPipeline(WorkerPipeline):
    """Buckets, a database and a revision's worker, which took one of the known settings' layouts.

    All known revisions have the commands `migrate` and `drain`. The layout is found by trying, so
    that nothing here names a revision.
    """

    def __init__(
        self, folder: Path, revision: Revision, store: ObjectStore, server: PostgreSQL
    ) -> None:
        super().__init__(folder, store, server, versions=False)
        self._revision, self._layout = revision, _LAYOUTS[0]
        self.environment["PYTHONPATH"] = str(revision.folder)

    @property
    def command(self) -> Sequence[str]:
        """What starts the revision's worker, without arguments."""
        return (str(self._revision.python), "-m", "worker")

    def write_settings(self, folder: Path, **changes: dict[str, object]) -> Path:
        """Write worker.toml as the revision reads it; arguments and result as of the base class."""
        path = super().write_settings(folder, **changes)
        path.write_text(self._layout(path.read_text()))
        return path

    def migrate(self) -> None:
        """Create the worker's tables, with the first layout of the settings that it takes.

        Raises:
            RevisionUnusable: It takes none, or fails.
        """  # noqa: DOC502  made by a method
        for layout in _LAYOUTS:
            self._layout = layout
            self.configure()
            answer = self.run("migrate")
            if answer.returncode != _REFUSED:
                break
        if answer.returncode:
            raise self._unusable("migrate", answer)

    def try_pass(self) -> None:
        """Run a pass that is not measured: after it, caches and tables are as in later ones.

        Raises:
            RevisionUnusable: The pass fails or leaves objects in the input bucket.
        """  # noqa: DOC502  made by a method
        answer = self.run("drain")
        if answer.returncode or self.left():
            raise self._unusable("drain", answer)

    def _unusable(
        self, command: str, answer: "subprocess.CompletedProcess[str]"
    ) -> RevisionUnusable:
        lines = (answer.stderr.strip() or answer.stdout.strip() or "no error message").splitlines()
        return RevisionUnusable(
            f"Revision '{self._revision.name}' cannot be measured: its `worker {command}` failed: "
            f"{lines[-1].rstrip('.')}."
        )


def _unchanged(text: str) -> str:
    return text


def _without_waits(text: str) -> str:
    """Leave out the waits that a worker had before they were settings."""
    waits = ("grace_seconds", "empty_seconds")
    return "\n".join(line for line in text.splitlines() if not line.startswith(waits))


def _of_one_pipeline(text: str) -> str:
    """Name the buckets with the store and the transform on top, as for a worker of one pipeline."""
    tables = tomllib.loads(text)
    [pipeline] = tables["pipelines"].values()
    top = {"pipeline": tables["stack"], "transform": pipeline["transform"]}
    store = tables["store"] | {bucket: pipeline[bucket] for bucket in ("input", "output")}
    parts = [
        _lines(top | {"machine": tables["machine"]}),
        f"[store]\n{_lines(store)}",
        f"[database]\n{_lines(tables['database'])}",
    ]
    return "\n".join(parts)


def _lines(values: Mapping[str, object]) -> str:
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())


#: The settings' layouts, newest first.
_LAYOUTS: tuple[Callable[[str], str], ...] = (_unchanged, _without_waits, _of_one_pipeline)
