"""An example in `examples/`: found by name, its definition and its code read."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from cli.errors import CommandError
from cli.examples.interface import Deployed, Plan, Results, Setup
from cli.init import stack_file
from cli.paths import CHECKOUT

_FOLDER = CHECKOUT / "examples"
_DEFINITIONS = "pipelines.yaml"


def names() -> list[str]:
    """Return the names of all examples."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{_DEFINITIONS}"))


@dataclass(frozen=True)
class Example:
    """A folder with pipelines.yaml, data/ and perhaps example.py."""

    name: str

    @property
    def source(self) -> Path:
        """Its folder."""
        return _FOLDER / self.name

    def plan(self, setup: Setup) -> Plan:
        """Return what is deployed and sent, with all that it needs started and generated.

        Raises:
            CommandError: This computer lacks something.
        """
        plan = Plan(stack_file.read_mapping(self.source / _DEFINITIONS), self.source / "data")
        prepare = self._function("prepare")
        return prepare(setup, plan) if prepare else plan

    def send(self, deployed: Deployed) -> Sequence[str]:
        """Bring data in by another way than the object store.

        Returns:
            The keys of the objects that were made of it in the first input bucket.

        Raises:
            CommandError: A program that it started has failed.
        """
        send = self._function("send")
        return send(deployed) if send else ()

    def show(self, results: Results) -> None:
        """Show what is special about its results."""
        show = self._function("show")
        if show:
            show(results)

    def _function(self, name: str) -> Callable[..., Any] | None:
        return getattr(self._module, name, None)

    @cached_property
    def _module(self) -> ModuleType | None:
        file = self.source / "example.py"
        if not file.exists():
            return None
        spec = importlib.util.spec_from_file_location(f"example_{self.name}", file)
        assert spec is not None and spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        sys.path.append(str(self.source))  # it may import its own modules
        spec.loader.exec_module(module)
        return module


def find(name: str) -> Example:
    """Return the example of that name.

    Raises:
        CommandError: There is none.
    """
    known = names()
    if name not in known:
        raise CommandError(f"'{name}' is not an example: choose one of {', '.join(known)}.")
    return Example(name)
