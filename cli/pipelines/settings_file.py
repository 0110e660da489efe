"""The file in which a stack's owner has the settings that commands change.

A stack on a cloud has all settings in its Pulumi.STACK.yaml. The local stack has its own ones in
pipelines.local.yaml, which git ignores, since Pulumi.local.yaml is part of the project: pipelines
by their names, and other settings by theirs, such as `image-pipeline:mqtt`.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.init import stack_file
from cli.paths import LocalPaths
from cli.pipelines.yaml_document import YamlDocument
from cli.stacks import registry
from cli.stacks.target import LOCAL
from infra.names import PROJECT

#: The setting with the pipelines.
SETTING = "pipelines"
#: The setting with the names of pipelines that are deleted with their data.
DELETED = "deletePipelineData"
_PREFIX = f"{PROJECT}:"
_NEW_FILE = """\
# The pipelines of the local stack, and its settings such as 'image-pipeline:mqtt': './pipeline' and
# you may change them, './pipeline up' deploys them. Without any there is the pipeline 'negatives'.
"""


class SettingsFile:
    """A stack's settings, and the file that has them.

    Attributes:
        path: The file; the local stack's may be absent.
        values: Setting -> value, without the project's name.
    """

    def __init__(self, stack: str) -> None:
        """Read it.

        Raises:
            CommandError: The file is missing or malformed.
        """
        self._is_local = stack == LOCAL
        general = registry.settings_file(stack)
        self.path = LocalPaths().pipelines if self._is_local else general
        if not (self._is_local or general.is_file()):
            raise CommandError(f"There is no {general.name}: './pipeline init {stack}' writes it.")
        self.values = stack_file.read(general)
        if self._is_local:
            self.values |= as_settings(self.path)

    def write(self, changes: Mapping[str, Any]) -> None:
        """Set settings, and remove those whose value is None; comments, order and quotes stay.

        Raises:
            CommandError: The file cannot be changed.
        """
        text = self.path.read_bytes().decode() if self.path.is_file() else _NEW_FILE
        document, place = YamlDocument(text), () if self._is_local else ("config",)
        before = document.get(place) or {}
        changed = dict(changes)
        if self._is_local and SETTING in changed:
            others = {key: value for key, value in before.items() if _is_setting(key)}
            before = {**changed.pop(SETTING), **others}
        for name, value in changed.items():
            before[DELETED if self._is_local and name == DELETED else f"{_PREFIX}{name}"] = value
        document.set(place, {key: value for key, value in before.items() if value is not None})
        _replace(self.path, document.text)
        self.values.update(changes)


def _is_setting(key: str) -> bool:
    return key == DELETED or key.startswith(_PREFIX)


def as_settings(file: Path) -> dict[str, Any]:
    """Return what pipelines.local.yaml sets, as Pulumi.STACK.yaml would; {} where it is absent.

    Raises:
        CommandError: The file is malformed; one sentence with line and column.
    """
    entries = stack_file.read_mapping(file) if file.is_file() else {}
    named = [key for key in entries if _is_setting(key)]
    settings = {key.removeprefix(_PREFIX): entries.pop(key) for key in named}
    return {SETTING: entries, **settings} if entries else settings


def _replace(file: Path, text: str) -> None:
    """Write a file whole or not at all; mode and owner stay."""
    file = file.resolve()
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            before = file.stat()
            part.chmod(before.st_mode & 0o7777)
            with suppress(PermissionError):
                os.chown(part, before.st_uid, before.st_gid)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
