"""Reads Pulumi.STACK.yaml and reports its faults with line and column.

The engine reports a file that it cannot parse as a wrong passphrase.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from cli.errors import CommandError
from infra.names import PROJECT


class Loader(yaml.SafeLoader):
    """A safe loader that leaves dates as text, and says where a value cannot be read."""

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML declares it
        first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a node's value; a ConstructorError says where it is not of its type."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} is not of the type {kind}", node.start_mark
            ) from None


def read(path: Path) -> dict[str, Any]:
    """Return the settings in a stack's file by name, without the project; a secret is a mapping.

    Raises:
        CommandError: The file is not UTF-8 or not YAML, or a key is duplicate, not plain text
            or without the project's name.
    """
    content = _parse(read_text(path), path.name, _faults) or {}
    config = content.get("config") or {}
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}


def read_mapping(path: Path) -> dict[str, Any]:
    """Return a file that is one mapping.

    Raises:
        CommandError: The file is not UTF-8 or not YAML, or a key is duplicate or not plain text.
    """
    return dict(_parse(read_text(path), path.name, _keys_of_file) or {})


def read_text(path: Path) -> str:
    """Return a file's text; CommandError where it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{path.name}, byte {error.start}: not UTF-8; save the file as UTF-8."
        ) from None


def read_value(text: str, name: str) -> Any:
    """Return a value written as YAML; `name` is what it is called in CommandError."""
    return _parse(text, name, _keys_of_value)


def _parse(text: str, name: str, check: Callable[[yaml.Node | None], Iterator[str]]) -> Any:
    try:
        faults = list(check(yaml.compose(text, yaml.SafeLoader)))
        if faults:
            raise CommandError("\n".join(f"{name}, {fault}" for fault in faults))
        return yaml.load(text, Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = error.problem or error.context
        raise CommandError(f"{name}{where}: {reason}; correct the YAML there.") from None
    except yaml.reader.ReaderError as error:
        raise CommandError(
            f"{name}, character {error.position + 1}: YAML does not allow"
            f" {error.character!r}; remove it."
        ) from None


def _faults(document: yaml.Node | None) -> Iterator[str]:
    """Yield what follows the file's name for each fault of the parsed document."""
    if document is None:
        return
    if not isinstance(document, yaml.MappingNode):
        yield f"{_place(document)}: the file must be a mapping with the key config."
        return
    yield from _keys(document)
    for key, value in document.value:
        if key.value != "config" or value.tag == "tag:yaml.org,2002:null":
            continue
        if not isinstance(value, yaml.MappingNode):
            yield f"{_place(value)}: config must be a mapping of settings to values."
            continue
        for setting, _ in value.value:
            if isinstance(setting, yaml.ScalarNode) and ":" not in setting.value:
                yield (
                    f"{_place(setting)}: {setting.value} lacks the project's name: write"
                    f" {PROJECT}:{setting.value}."
                )


def _keys_of_file(document: yaml.Node | None) -> Iterator[str]:
    if document is None or document.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(document, yaml.MappingNode):
        yield f"{_place(document)}: the file must be a mapping of names to pipelines."
        return
    yield from _keys(document)


def _keys_of_value(document: yaml.Node | None) -> Iterator[str]:
    if document is not None:
        yield from _keys(document)


def _keys(node: yaml.Node, above: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield a sentence for each key of a mapping, at any depth, that is duplicate or not plain."""
    if id(node) in above:  # an alias of an enclosing mapping
        yield f"{_place(node)}: must not contain itself."
        return
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(item, above)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield f"{_place(key)}: a key must be plain text: quote it, or correct it."
        elif key.value in first:
            line = first[key.value].start_mark.line + 1
            yield (
                f"{_place(key)}: {key.value} is set twice (first in line {line}): keep one of them."
            )
        else:
            first[key.value] = key
        yield from _keys(value, above)


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"
