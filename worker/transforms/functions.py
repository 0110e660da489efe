"""Functions of users as transforms: what their source declares, read by `ast` and never imported.

`def thumbnail(source: Path, outputs: Path, *, size: int = 256)` takes a file (a list of files where
the pipeline gathers) and the folder for its results; parameters after `*` are the pipeline's.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Literal

from worker.errors import InvalidSettings
from worker.transforms import parameters

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
#: Modules that are imported instead of those of a folder, or that libraries would miss.
_TAKEN = sys.stdlib_module_names | {"__main__", "worker"}
_LIST = re.compile(r"""["']?(\w+\.)*(list|List|Sequence)\[""")
_SCALARS = {"bool": bool, "int": int, "float": float, "str": str}
_TYPES = "bool, int, float, str, Literal[...], list[...] or ... | None"


@dataclass(frozen=True)
class Declaration:
    """What the source of a function says.

    Attributes:
        summary: The first line of its docstring.
        gathers: Whether its first argument is a list of files.
        parameters_type: A dataclass of its keyword-only parameters, None if it has none.
    """

    summary: str
    gathers: bool
    parameters_type: type | None


def declaration(name: str, folder: Path | None) -> Declaration:
    """Read the declaration of a function.

    Args:
        name: `package.module:function`.
        folder: The folder that contains the package or module.

    Returns:
        What its source says.

    Raises:
        InvalidSettings: It is not there, or it cannot be a transform: one sentence for each problem
            begins with the name of a pipeline's setting.
    """
    if not _NAME.fullmatch(name):
        raise InvalidSettings([f"transform is {name!r}: write package.module:function."])
    module, _, function = name.partition(":")
    top = module.partition(".")[0]
    if top in _TAKEN:
        raise InvalidSettings(
            [f"transform is {name}, but Python has a module {top} itself: rename yours."]
        )
    if folder is None:
        raise InvalidSettings(
            [
                f"folder is missing: transform {name} is a function, so set folder to the folder"
                f" that contains {top}."
            ]
        )
    path = _source(module, folder)
    try:
        tree = ast.parse(path.read_bytes(), path.name)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise InvalidSettings(
            [f"transform is {name}, but {path.relative_to(folder)}{where}: {error.msg}."]
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        shown = path.relative_to(folder)
        raise InvalidSettings(
            [f"transform is {name}, but {shown} cannot be read as Python: {error}."]
        ) from None
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    ]
    if not found:
        raise InvalidSettings(
            [
                f"transform is {name}, but {path.relative_to(folder)} defines no function"
                f" {function}: define it there, or correct the name."
            ]
        )
    where = f"transform names {function} ({path.relative_to(folder)}, line {found[-1].lineno})"
    return _declaration(found[-1], where)


def _source(module: str, folder: Path) -> Path:
    relative = module.replace(".", "/")
    candidates = [folder / f"{relative}.py", folder / relative / "__init__.py"]
    if found := next(filter(os.path.isfile, candidates), None):
        return found
    hint = "correct transform or folder"
    if folder.resolve().name == module.partition(".")[0]:
        hint = "set folder to the folder above it"
    raise InvalidSettings([f"folder is {str(folder)!r}, which has no {relative}.py: {hint}."])


def _declaration(node: ast.FunctionDef | ast.AsyncFunctionDef, where: str) -> Declaration:
    problems = []
    taken = [*node.args.posonlyargs, *node.args.args]
    if isinstance(node, ast.AsyncFunctionDef):
        problems.append(f"{where}, which is async: write def.")
    if len(taken) != 2 or node.args.vararg or node.args.kwarg:  # noqa: PLR2004
        problems.append(
            f"{where}, which must take a file, a folder and its parameters by keyword: write"
            f" def {node.name}(source: Path, outputs: Path, *, size: int = 256)."
        )
    fields: list[tuple[str, Any, Any]] = []
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        try:
            fields.append(_field(argument, default))
        except ValueError as error:
            problems.append(f"{where}, whose parameter {argument.arg} {error}")
    named: dict[str, str] = {}
    for field_name, _, _ in fields:
        other = named.setdefault(parameters.setting_name(field_name), field_name)
        if other != field_name:
            problems.append(
                f"{where}, whose parameters {other} and {field_name} have one name in settings:"
                " rename one."
            )
    if problems:
        raise InvalidSettings(problems)
    first = taken[0].annotation
    text = ast.get_docstring(node) or f"The function {node.name}."
    made = make_dataclass("Parameters", fields, frozen=True, kw_only=True)
    return Declaration(
        summary=text.splitlines()[0],
        gathers=first is not None and bool(_LIST.match(ast.unparse(first))),
        parameters_type=made if fields else None,
    )


def _field(argument: ast.arg, default: ast.expr | None) -> tuple[str, Any, Any]:
    """Return a parameter as a field of a dataclass; the ValueError ends a sentence about it."""
    if argument.arg.startswith("__"):
        raise ValueError("has a name that begins with __: rename it.")
    if argument.annotation is None:
        raise ValueError(f"has no annotation: write its type, {_TYPES}.")
    annotation = argument.annotation
    try:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        kind = _type(annotation)
    except (ValueError, SyntaxError):
        text = ast.unparse(annotation)
        raise ValueError(f"has the annotation {text}: use {_TYPES}.") from None
    if default is None:
        return argument.arg, kind, field()
    try:
        value = ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(
            f"has the default {ast.unparse(default)}: write a value, not an expression."
        ) from None
    if value is None:
        return argument.arg, kind | None, field(default=None)
    try:
        value = parameters.convert(kind, value)
    except ValueError as error:
        raise ValueError(f"has the default {value!r}: write {error}.") from None
    if isinstance(value, list):
        return argument.arg, kind, field(default_factory=value.copy)
    return argument.arg, kind, field(default=value)


def _type(node: ast.expr) -> Any:
    """Return the type that an annotation names; ValueError for others."""
    if isinstance(node, ast.Name) and node.id in _SCALARS:
        return _SCALARS[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _optional(node.left, node.right)
    if isinstance(node, ast.Subscript):
        outer, inner = ast.unparse(node.value).rpartition(".")[2], node.slice
        if outer in ("list", "List"):
            return list[_type(inner)]  # type: ignore[misc]
        if outer == "Optional":
            return _type(inner) | None
        if outer == "Union" and isinstance(inner, ast.Tuple):
            return _optional(*inner.elts)
        if outer == "Literal":
            return Literal[tuple(_literals(inner))]
    raise ValueError


def _optional(*nodes: ast.expr) -> Any:
    kinds = [node for node in nodes if not (isinstance(node, ast.Constant) and node.value is None)]
    if len(kinds) != 1 or len(nodes) != 2:  # noqa: PLR2004
        raise ValueError
    return _type(kinds[0]) | None


def _literals(node: ast.expr) -> Iterator[object]:
    for element in node.elts if isinstance(node, ast.Tuple) else [node]:
        value = ast.literal_eval(element)
        if value is not None and type(value) not in (bool, int, str):
            raise ValueError
        yield value
