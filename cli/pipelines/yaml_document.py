"""YAML text in which values are set and removed; all else stays byte for byte.

It cuts at the positions that PyYAML's composer gives. ruamel.yaml keeps comments too, but ties the
comment above a setting to the value before it: an added pipeline came below the comment of the next
setting, and a removed one took that comment with it (0.19.1).
"""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

import yaml

from cli.errors import CommandError
from cli.init.stack_file import Loader

#: YAML 1.2 and the engine read more texts as numbers than PyYAML, which quotes what it would read.
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9].*")
_BLOCK_STYLES = ("|", ">")


class YamlDocument:
    """One document; `text` is its present text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def set(self, path: tuple[str, ...], value: Any) -> None:
        """Set the value at a path of keys, () for the whole document.

        Mappings are changed key by key, so that what stays keeps its comments and quotes.

        Raises:
            CommandError: The text is written in a way that this cannot change (an alias).
        """
        expected = _changed(self._data(), path, value)
        self._set(path, value)
        if self._data() != expected:
            raise CommandError(
                f"{'.'.join(path) or 'the file'} is written in a way that is only changed by hand, "
                "with an anchor or an alias: write it out."
            )

    def get(self, path: tuple[str, ...]) -> Any:
        """Return the value at a path of keys, None where there is none."""
        node = self._find(path)
        return None if node is None else _construct(node)

    def _set(self, path: tuple[str, ...], value: Any) -> None:
        node = self._find(path)
        if node is None:
            self._add(path, value)
        elif repr(_construct(node)) == repr(value):  # True == 1
            return
        elif _can_be_changed_by_key(node, value):
            for key in _keys(node):
                if key not in value:
                    self._remove((*path, key))
            for key, each in value.items():
                self._set((*path, key), each)
        elif _is_inline(node) and not isinstance(value, Mapping | list):
            self._replace(node.start_mark.index, node.end_mark.index, _scalar(value))
        else:
            self._replace_entry(path, value)

    def _add(self, path: tuple[str, ...], value: Any) -> None:
        """Add a key below the last one of its mapping."""
        parent = self._find(path[:-1]) if path else None
        if not isinstance(parent, yaml.MappingNode) or parent.flow_style or not parent.value:
            if path:
                inner = _construct(parent) if isinstance(parent, yaml.MappingNode) else {}
                self._set_whole(path[:-1], {**inner, path[-1]: value})
            else:
                self._append(block(value))
            return
        first, last = parent.value[0][0], parent.value[-1]
        end = self._end_of_line(_last_index(self.text, last[0].end_mark.index, last[1]))
        self._insert(end, block({path[-1]: value}), first.start_mark.column)

    def _set_whole(self, path: tuple[str, ...], value: Any) -> None:
        """Set a value that is absent, empty or on one line as a block."""
        if self._find(path) is None:
            self._add(path, value)
        else:
            self._replace_entry(path, value)

    def _replace_entry(self, path: tuple[str, ...], value: Any) -> None:
        """Write a key and its value anew."""
        if not path:
            self.text = self._with_line_ends(block(value))
            return
        start, end, column = self._place(path)
        self._replace(start, end, "")
        self._insert(start, block({path[-1]: value}), column)

    def _remove(self, path: tuple[str, ...]) -> None:
        """Remove a key, its value, and the comment lines just above it."""
        start, end, column = self._place(path)
        while (above := self._line_before(start)) is not None:
            line = self.text[above:start]
            if not line.startswith(" " * column + "#"):
                break
            start = above
        above = self._line_before(start)
        if above is not None and not self.text[above:start].strip():
            start = above  # the blank line that set it apart
        self._replace(start, end, "")

    def _place(self, path: tuple[str, ...]) -> tuple[int, int, int]:
        """Return where the lines of a key and its value start and end, and the key's column."""
        parent = cast("yaml.MappingNode", self._find(path[:-1]))
        key, value = next(pair for pair in parent.value if pair[0].value == path[-1])
        start = self.text.rfind("\n", 0, key.start_mark.index) + 1
        end = self._end_of_line(_last_index(self.text, key.end_mark.index, value))
        return start, end, key.start_mark.column

    def _find(self, path: tuple[str, ...]) -> yaml.Node | None:
        node = yaml.compose(self.text, yaml.SafeLoader)
        for part in path:
            if not isinstance(node, yaml.MappingNode):
                return None
            node = next((value for key, value in node.value if key.value == part), None)
        return node

    def _data(self) -> Any:
        return yaml.load(self.text, Loader)  # noqa: S506

    def _end_of_line(self, index: int) -> int:
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1

    def _line_before(self, start: int) -> int | None:
        return self.text.rfind("\n", 0, start - 1) + 1 if start > 0 else None

    def _append(self, block: str) -> None:
        self._insert(len(self.text), block, 0)

    def _insert(self, index: int, block: str, column: int) -> None:
        lines = [" " * column + line for line in block.splitlines(keepends=True)]
        if index and self.text[index - 1] != "\n":  # the last line has no end
            lines.insert(0, "\n")
        self._replace(index, index, "".join(lines))

    def _replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + self._with_line_ends(text) + self.text[end:]

    def _with_line_ends(self, text: str) -> str:
        return text.replace("\n", "\r\n") if "\r\n" in self.text else text


def _changed(data: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    inner = data if isinstance(data, dict) else {}
    return {**inner, path[0]: _changed(inner.get(path[0]), path[1:], value)}


def _construct(node: yaml.Node) -> Any:
    return Loader("").construct_document(node)


def _keys(node: yaml.Node) -> list[str]:
    return [str(key.value) for key, _ in node.value]


def _can_be_changed_by_key(node: yaml.Node, value: Any) -> TypeGuard[yaml.MappingNode]:
    if not isinstance(node, yaml.MappingNode) or not isinstance(value, Mapping):
        return False
    keys = _keys(node)
    if node.flow_style:
        return set(keys) == set(value) and all(
            _can_stay_on_its_line(each, value[str(key.value)]) for key, each in node.value
        )
    return any(key in value for key in keys)


def _can_stay_on_its_line(node: yaml.Node, value: Any) -> bool:
    """Whether a value inside a mapping in braces can be changed where it is."""
    is_single = _is_inline(node) and not isinstance(value, Mapping | list)
    is_same = repr(_construct(node)) == repr(value)
    return is_same or is_single or _can_be_changed_by_key(node, value)


def _is_inline(node: yaml.Node) -> bool:
    is_empty = node.start_mark.index == node.end_mark.index
    return isinstance(node, yaml.ScalarNode) and node.style not in _BLOCK_STYLES and not is_empty


def _last_index(text: str, after: int, value: yaml.Node) -> int:
    """Return where a value ends, without the comments and blank lines below it.

    Args:
        text: The document.
        after: Where its key ends, or the item before it.
        value: The value.
    """
    if value.start_mark.index < after:  # an alias: its node is where the anchor is
        return after
    if isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        if isinstance(value, yaml.MappingNode):
            key, last = value.value[-1]
            return _last_index(text, key.end_mark.index, last)
        return _last_index(text, value.start_mark.index, value.value[-1])
    index = int(value.end_mark.index)
    if isinstance(value, yaml.ScalarNode) and value.style in _BLOCK_STYLES:
        while text[index - 1] in "\r\n ":
            index -= 1
    return index


class _Dumper(yaml.SafeDumper):
    """Lists of single values on one line; texts that look like numbers in quotes."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        is_flat = not any(isinstance(each, list | dict) for each in sequence)
        return super().represent_sequence(tag, sequence, flow_style=flow_style or is_flat)

    def represent_text(self, text: str) -> yaml.Node:
        style = "'" if _LIKE_A_NUMBER.fullmatch(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


_Dumper.add_representer(str, _Dumper.represent_text)


def _dump(value: Any, *, is_flow: bool) -> str:
    return str(
        yaml.dump(
            value,
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=float("inf"),
            default_flow_style=is_flow,
        )
    )


def block(value: Any) -> str:
    """Return a mapping as YAML, a key a line."""
    return _dump(value, is_flow=False)


def _scalar(value: Any) -> str:
    return _dump([value], is_flow=True).strip()[1:-1]
