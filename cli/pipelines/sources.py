"""Definitions of pipelines as the user gives them: a file, or options."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.init import stack_file
from cli.paths import CHECKOUT
from infra.names import PROJECT

_SETTING = f"{PROJECT}:pipelines"


def from_file(file: Path) -> dict[str, Any]:
    """Return the definitions in a file, `NAME: {…}` in YAML or JSON.

    They may be below `image-pipeline:pipelines`, as in Pulumi.STACK.yaml.

    Raises:
        CommandError: The file is malformed (one sentence with line and column), or has none.
        OSError: It cannot be read.
    """
    found = _from_json(file) if file.suffix == ".json" else stack_file.read_mapping(file)
    if found.keys() == {_SETTING}:
        found = found[_SETTING]
    if not found or not isinstance(found, dict):
        raise CommandError(f"{file} defines no pipeline: write 'NAME: {{transform: …}}' into it.")
    return found


def _from_json(file: Path) -> Any:
    """Read a file that YAML would refuse where it is indented with tabs."""
    try:
        found = json.loads(stack_file.read_text(file))
    except json.JSONDecodeError as error:
        raise CommandError(
            f"{file.name}, line {error.lineno}, column {error.colno}: {error.msg}; correct the "
            "JSON there."
        ) from None
    if not isinstance(found, dict):
        raise CommandError(f"{file.name}: the file must be a mapping of names to pipelines.")
    return found


def from_options(
    name: str,
    transform: str,
    sources: Sequence[str],
    parameters: Sequence[str],
    folder: Path | None,
) -> dict[str, Any]:
    """Return the definition that the options of `create` describe.

    Args:
        name: The pipeline's.
        transform: Its transform.
        sources: The pipelines whose results it reads.
        parameters: KEY=VALUE, the value in YAML.
        folder: Its folder as the user typed it; settings have paths below the checkout as relative.

    Returns:
        Name -> definition.

    Raises:
        CommandError: A parameter is not KEY=VALUE, or its value not YAML.
    """
    entry: dict[str, Any] = {"transform": transform}
    if sources:
        entry["from"] = sources[0] if len(sources) == 1 else list(sources)
    if parameters:
        entry["parameters"] = dict(_assignment(each) for each in parameters)
    if folder is not None:
        path = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100  links stay
        is_below = path.is_relative_to(CHECKOUT)
        entry["folder"] = str(path.relative_to(CHECKOUT) if is_below else path)
    return {name: entry}


def _assignment(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise CommandError(f"--parameter {text}: write KEY=VALUE, for example width=300.")
    return key, stack_file.read_value(value, f"--parameter {key}")
