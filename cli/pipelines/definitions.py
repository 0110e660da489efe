"""The pipelines that a stack's settings define, and the file that has them.

A stack on a cloud has them in its Pulumi.STACK.yaml; the local stack in pipelines.local.yaml, which
git ignores, since Pulumi.local.yaml is part of the project.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.init import stack_file
from cli.paths import LocalPaths
from cli.pipelines.yaml_document import YamlDocument
from cli.stacks import registry
from cli.stacks.target import LOCAL, command_line
from infra.names import PROJECT
from infra.settings.declared import flat_settings
from infra.settings.pipelines import DEFAULT, Pipeline, read

#: The setting.
SETTING = "pipelines"
#: The setting with the names of pipelines that are deleted with their data.
DELETED = "deletePipelineData"
_NEW_FILE = """\
# The pipelines of the local stack: './pipeline pipelines' and you may change them, './pipeline up'
# deploys them. Without this file there is only the pipeline 'negatives'.
"""


class Definitions:
    """The pipelines in a stack's settings.

    Attributes:
        stack: The stack's name.
        file: The file that has them; the local stack's may be absent.
        entries: Name -> definition, as the file has it.
        deleted: The pipelines that are deleted with their data.
    """

    def __init__(self, stack: str) -> None:
        """Read them.

        Raises:
            CommandError: The file is missing or malformed.
        """
        self.stack = stack
        self.file = LocalPaths().pipelines if stack == LOCAL else registry.settings_file(stack)
        self._values = values = self._read()
        self.entries: dict[str, Any] = _mapping(values.get(SETTING), self.file)
        self.deleted: tuple[str, ...] = tuple(map(str, values.get(DELETED) or ()))

    def _read(self) -> dict[str, Any]:
        """Return the settings that concern pipelines, as Pulumi.STACK.yaml names them."""
        if self.stack != LOCAL:
            if not self.file.is_file():
                raise CommandError(
                    f"There is no {self.file.name}: './pipeline init {self.stack}' writes it."
                )
            return stack_file.read(self.file)
        if self.file.is_file():
            return as_settings(self.file)
        return stack_file.read(registry.settings_file(LOCAL))

    def check_absent(self, names: Sequence[str]) -> None:
        """Raise CommandError if one of `names` is defined already."""
        for name in names:
            if name in self.entries:
                update = command_line("pipelines update -f FILE", self.stack)
                raise CommandError(
                    f"Pipeline '{name}' exists already in {self.file.name}: '{update}' changes it; "
                    "choose another name for another pipeline."
                )

    def check_present(self, names: Sequence[str]) -> None:
        """Raise CommandError if one of `names` is not defined."""
        for name in names:
            if name not in self.entries:
                create = command_line("pipelines create", self.stack)
                raise CommandError(
                    f"{self.file.name} has no pipeline '{name}' (it has "
                    f"{', '.join(self.entries)}): '{create}' makes one."
                )

    def check_removable(self, name: str) -> None:
        """Raise CommandError if a pipeline is the last one, or others read its results."""
        if list(self.entries) == [name]:
            raise CommandError(
                f"Pipeline '{name}' is the only one of the stack, which needs one: create another "
                f"first, or take the stack down with '{command_line('destroy', self.stack)}'."
            )
        readers = [other for other in self.entries if name in self.sources(other)]
        if readers:
            raise CommandError(
                f"Pipeline '{name}' is read by {', '.join(readers)} (from): delete "
                f"{'it' if len(readers) == 1 else 'them'} first, or update "
                f"{'its' if len(readers) == 1 else 'their'} from."
            )

    def pipelines(self) -> Mapping[str, Pipeline]:
        """Return the definitions with all keys; secret parameters are "[secret]".

        Raises:
            InvalidSettings: One sentence for each fault.
        """
        return read(self.entries)

    def sources(self, name: str) -> list[str]:
        """Return the pipelines whose results a pipeline reads."""
        found = self._entry(name).get("from") or []
        return [str(each) for each in found] if isinstance(found, list) else [str(found)]

    def _entry(self, name: str) -> Mapping[str, Any]:
        entry = self.entries.get(name)
        return entry if isinstance(entry, Mapping) else {}

    def write(self, entries: Mapping[str, Any], deleted: Sequence[str]) -> None:
        """Check other definitions and write them; comments, order and quotes stay.

        Raises:
            InvalidSettings: One sentence for each fault; nothing was written.
            CommandError: The file cannot be changed.
        """
        if refusal := flat_settings(self._values):
            raise CommandError(refusal)
        read(entries)
        text = self.file.read_bytes().decode() if self.file.is_file() else _NEW_FILE
        document = YamlDocument(text)
        if self.stack == LOCAL:
            document.set((), {**entries, **({DELETED: list(deleted)} if deleted else {})})
        else:
            config = document.get(("config",)) or {}
            config.pop(f"{PROJECT}:{DELETED}", None)
            more = {f"{PROJECT}:{DELETED}": list(deleted)} if deleted else {}
            document.set(("config",), {**config, f"{PROJECT}:{SETTING}": dict(entries), **more})
        _replace(self.file, document.text)
        self.entries, self.deleted = dict(entries), tuple(deleted)


def as_settings(file: Path) -> dict[str, Any]:
    """Return what pipelines.local.yaml sets, as Pulumi.STACK.yaml would; {} where it is absent.

    Raises:
        CommandError: The file is malformed; one sentence with line and column.
    """
    if not file.is_file():
        return {}
    entries = stack_file.read_mapping(file)
    deleted = {DELETED: entries.pop(DELETED)} if DELETED in entries else {}
    return {SETTING: entries, **deleted} if entries else deleted


def _mapping(value: Any, file: Path) -> dict[str, Any]:
    if value is None:
        return deepcopy(DEFAULT)
    if not isinstance(value, dict) or not value:
        raise CommandError(
            f"{file.name}: pipelines must be a mapping of names to pipelines, such as "
            "{negatives: {transform: negate}}."
        )
    return value


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
