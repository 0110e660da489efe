"""The parameters of `command`."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

_PLACEHOLDERS = ("inputs", "outputs", "folder", "parameters")
#: An argument that names a file or folder of the pipeline's folder: no other text, no wildcard.
_IN_FOLDER = re.compile(r"\{folder\}/([\w./+-]+)")
_KNOWN = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)


@dataclass(frozen=True)
class Parameters:
    """The program to run.

    Attributes:
        argv: The program and its arguments; no shell reads them. `{inputs}` and `{outputs}` are
            folders, `{folder}` is the pipeline's folder, `{parameters}` a JSON file with `values`.
            A literal brace is doubled.
        values: What the program finds in the file `{parameters}`.
    """

    argv: list[str]
    values: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise ValueError("argv has no program: write it first, as in [python3, main.py].")
        for _ in self._placeholders():
            pass

    def check(self, folder: Path | None) -> None:
        """Check the arguments against the pipeline's folder.

        Raises:
            ValueError: They need a folder, and there is none; or it lacks a file that they name.
        """
        if folder is None:
            if "folder" in self._placeholders():
                raise ValueError("argv has {folder}, but the pipeline has no folder: set folder.")
            return
        for argument in self.argv:
            found = _IN_FOLDER.fullmatch(argument)
            if not found:
                continue
            is_there = os.access(folder / found[1], os.F_OK)  # False for a name that is too long
            if ".." in found[1].split("/") or not is_there:
                raise ValueError(
                    f"argv has {argument}, but the folder has no {found[1]}: add it, or correct"
                    " argv."
                )
        found = _IN_FOLDER.fullmatch(self.argv[0])
        if found and not os.access(folder / found[1], os.X_OK):
            raise ValueError(
                f"argv has {self.argv[0]} as its program, which is not executable: run `chmod +x`"
                " on it."
            )

    def command(self, paths: Mapping[str, Path]) -> Sequence[str]:
        """Return argv with a path for each placeholder."""
        return [argument.format(**paths) for argument in self.argv]

    def _placeholders(self) -> Iterator[str]:
        for argument in self.argv:
            try:
                parsed = list(Formatter().parse(argument))
            except ValueError:
                raise ValueError("argv has a single brace: double it, {{ or }}.") from None
            for _, name, form, conversion in parsed:
                if name is None:
                    continue
                if name not in _PLACEHOLDERS or form or conversion:
                    # What is no name may be part of a secret.
                    shown = f"the placeholder {{{name}}}" if name.isidentifier() else "braces"
                    raise ValueError(
                        f"argv has {shown}: use {_KNOWN}, and double braces that mean themselves."
                    )
                yield name
