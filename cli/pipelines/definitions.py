"""The pipelines that a stack's settings define."""

from pathlib import Path
from typing import Any

from cli.init import stack_file
from cli.paths import LocalPaths
from cli.stacks import registry
from cli.stacks.target import LOCAL

#: The setting, in Pulumi.STACK.yaml.
SETTING = "pipelines"
#: What a stack has whose settings define none.
DEFAULT: dict[str, Any] = {"negatives": {"transform": "negate"}}
#: Setting of pipelines that are deleted with their data; beside them in the local stack's file.
DELETED = "deletePipelineData"


def file_of(stack: str) -> Path:
    """Return the file that defines the stack's pipelines; the local stack's may be absent."""
    return LocalPaths().pipelines if stack == LOCAL else registry.settings_file(stack)


def names(stack: str) -> list[str]:
    """Return the names of the pipelines in the stack's settings, the default's where unset.

    Raises:
        CommandError: The file is malformed.
    """
    file = file_of(stack)
    if not file.is_file():
        return list(DEFAULT)
    values = stack_file.read_mapping(file) if stack == LOCAL else stack_file.read(file)
    found = values if stack == LOCAL else values.get(SETTING)
    return [name for name in found or DEFAULT if name != DELETED]
