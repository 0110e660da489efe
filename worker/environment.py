"""What a pipeline's transform needs to run: an interpreter with its packages, a folder, files.

`worker prepare` (preparation.py) makes it below `Settings.prepared`, once for all pipelines that
need the same. A pass only looks it up.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker.errors import ServiceUnavailable
from worker.settings import Pipeline, Settings
from worker.transforms import (
    FOLDER,
    Definition,
    Resource,
    describe,
    find,
    is_function,
    policy,
    version,
)
from worker.transforms.parameters import read

#: The virtual environment's own Python, and what it was made from.
INTERPRETER = f"{sys.version} {sys.base_prefix}"
_DIGITS = 32


@dataclass(frozen=True)
class Environment:
    """What is prepared on this machine for a pipeline's transform.

    Attributes:
        python: The interpreter that has its packages.
        folder: The user's folder, None if the pipeline has none.
        files: Its resources, such as models, by name.
        secrets: The folder of its secrets, None if it has none.
    """

    python: Path = Path(sys.executable)
    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    secrets: Path | None = None

    @property
    def path(self) -> str:
        """The search path of its programs: those of its packages come first."""
        return f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def as_json(self) -> dict[str, object]:
        """Return the folder and the files as JSON has them: paths as text, null for no folder."""
        return {
            "folder": str(self.folder) if self.folder else None,
            "files": {name: str(path) for name, path in self.files.items()},
        }


@dataclass(frozen=True)
class Record:
    """The files that say what `worker prepare` made for a pipeline.

    Attributes:
        ready: Holds an `Environment` without secrets as JSON, once all of it is there.
        problem: Holds the sentence of the last attempt if that failed.
    """

    ready: Path
    problem: Path


def record_of(settings: Settings, pipeline: Pipeline) -> Record:
    """Return where a pipeline's preparation is recorded; another need has another record."""
    packages = None if is_function(pipeline.transform) else requirements_of(pipeline)
    needed = [
        version(pipeline.transform, pipeline.folder.sha256),
        str(packages.relative_to(FOLDER)) if packages else "",
        [(one.name, one.location, one.sha256) for one in resources_of(pipeline)],
        pipeline.apt,
        INTERPRETER,
    ]
    name = hashlib.sha256(json.dumps(needed).encode()).hexdigest()[:_DIGITS]
    return Record(settings.prepared / f"{name}.ready", settings.prepared / f"{name}.problem")


def policy_of(pipeline: Pipeline) -> str:
    """Return how a pipeline's transform is confined (worker/transforms)."""
    return policy(
        describe(pipeline.transform),
        apt=pipeline.apt,
        network=pipeline.network,
        allow=pipeline.allow,
        secrets=pipeline.secrets,
    )


def requirements_of(pipeline: Pipeline, folder: Path | None = None) -> Path | None:
    """Return the locked requirements of a pipeline's transform.

    Args:
        pipeline: The pipeline.
        folder: Its folder, if it has one and is unpacked.

    Returns:
        Their file; None if the worker's own packages suffice.

    Raises:
        InvalidSettings: There is no such transform, or its parameters are wrong.
    """  # noqa: DOC502  raised by find and read
    definition = find(pipeline.transform, folder)
    if is_function(pipeline.transform):
        return definition.requirements(None)
    return definition.requirements(_parameters(definition, pipeline))


def _parameters(definition: Definition, pipeline: Pipeline) -> object:
    return read(definition.parameters_type, json.loads(pipeline.parameters))


def resources_of(pipeline: Pipeline) -> Sequence[Resource]:
    """Return the files that a pipeline's transform needs; functions have a folder instead."""
    if is_function(pipeline.transform):
        return ()
    definition = find(pipeline.transform)
    return definition.resources(_parameters(definition, pipeline))


def needs_preparation(pipeline: Pipeline) -> bool:
    """Return whether `worker prepare` has anything to do for a pipeline.

    Args:
        pipeline: The pipeline.

    Returns:
        False for transforms that run on the worker's own packages alone.

    Raises:
        InvalidSettings: There is no such transform, or its parameters are wrong.
    """  # noqa: DOC502  raised by find and read
    if pipeline.folder.sha256 or pipeline.apt:
        return True
    return requirements_of(pipeline) is not None or bool(resources_of(pipeline))


def environment_of(settings: Settings, pipeline: Pipeline) -> Environment:
    """Look up what is prepared for a pipeline.

    Args:
        settings: The stack's.
        pipeline: The pipeline.

    Returns:
        What its transform needs.

    Raises:
        ServiceUnavailable: It is not prepared yet, its preparation failed, or the program that it
            starts is not there.
        InvalidSettings: There is no such transform, or its parameters are wrong.
    """  # noqa: DOC502  raised by find and read
    found = Environment()
    if needs_preparation(pipeline):
        found = _prepared(record_of(settings, pipeline), pipeline)
    if pipeline.secrets and settings.secrets != Path():
        found = replace(found, secrets=settings.secrets)
    _check_program(pipeline, found)
    return found


def _prepared(record: Record, pipeline: Pipeline) -> Environment:
    try:
        made = json.loads(record.ready.read_text())
    except OSError:
        try:
            why = f"failed: {record.problem.read_text()}"
        except OSError:
            why = "has not ended yet: packages and files are being installed."
        raise ServiceUnavailable(f"The preparation of pipeline {pipeline.name} {why}") from None
    folder = Path(made["folder"]) if made["folder"] else None
    files = {name: Path(path) for name, path in made["files"].items()}
    python = Path(made["python"])
    for path in (python, *files.values(), *([folder] if folder else [])):
        if not path.exists():
            raise ServiceUnavailable(
                f"{path} of pipeline {pipeline.name} is missing: run `worker prepare --pipeline"
                f" {pipeline.name}` on the machine, or start the machine again."
            )
    return Environment(python, folder, files)


def _check_program(pipeline: Pipeline, environment: Environment) -> None:
    """Raise ServiceUnavailable if the program of a `command` cannot be started."""
    if pipeline.transform != "command":
        return
    wanted = str(json.loads(pipeline.parameters)["argv"][0])
    program = wanted.replace("{folder}", str(environment.folder))
    if shutil.which(program, path=environment.path):
        return
    remedy = "add the Debian package that has it to `apt`, or set argv to a file of its folder"
    if "/" in wanted:
        remedy = "correct argv, or make the file executable (chmod +x)"
    raise ServiceUnavailable(
        f"The program {wanted!r} of pipeline {pipeline.name} is not found: {remedy}."
    )
