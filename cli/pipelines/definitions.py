"""The pipelines that a stack's settings define."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.pipelines.settings_file import DELETED, SETTING, SettingsFile
from cli.stacks.target import command_line
from infra.settings import interfaces
from infra.settings.declared import as_text, defaults, flat_settings
from infra.settings.pipelines import DEFAULT, Pipeline, read


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
        self._settings = settings = SettingsFile(stack)
        self.file = settings.path
        self.entries: dict[str, Any] = _mapping(settings.values.get(SETTING), self.file)
        self.deleted: tuple[str, ...] = tuple(map(str, settings.values.get(DELETED) or ()))

    def check_absent(self, names: Sequence[str]) -> None:
        """Raise CommandError if one of `names` is defined already."""
        for name in names:
            if name in self.entries:
                update = command_line("pipelines update -f FILE", self.stack)
                raise CommandError(
                    f"Pipeline '{name}' exists already in the settings of stack '{self.stack}': "
                    f"'{update}' changes it; choose another name for another pipeline."
                )

    def check_present(self, names: Sequence[str]) -> None:
        """Raise CommandError if one of `names` is not defined."""
        for name in names:
            if name not in self.entries:
                create = command_line("pipelines create", self.stack)
                raise CommandError(
                    f"Stack '{self.stack}' has no pipeline '{name}' (it has "
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

    def check(self, entries: Mapping[str, Any]) -> None:
        """Check other definitions, also against the stack's cameras.

        Raises:
            InvalidSettings: One sentence for each fault.
        """
        given = {name: as_text(value) for name, value in self._settings.values.items()}
        interfaces.read({**defaults(), **given}, read(entries))

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
        if refusal := flat_settings(self._settings.values):
            raise CommandError(refusal)
        self.check(entries)
        self._settings.write({SETTING: dict(entries), DELETED: list(deleted) or None})
        self.entries, self.deleted = dict(entries), tuple(deleted)


def _mapping(value: Any, file: Path) -> dict[str, Any]:
    if value is None:
        return deepcopy(DEFAULT)
    if not isinstance(value, dict) or not value:
        raise CommandError(
            f"{file.name}: pipelines must be a mapping of names to pipelines, such as "
            "{negatives: {transform: negate}}."
        )
    return value
