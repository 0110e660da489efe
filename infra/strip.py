"""Sources without comments, docstrings and annotations: user-data has room for what runs.

Line numbers stay, so that a traceback of the machine fits the clone. The result depends on the
text alone, not on the Python that makes it.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_DOCUMENTED = ast.Module | ast.ClassDef | _FUNCTION

_C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)  # ours have no string with a comment mark
_SQL_COMMENT = re.compile(r"^ *--.*$", re.MULTILINE)
_HASH_COMMENT = re.compile(r"^ *#(?!!).*$", re.MULTILINE)
_INDENT = re.compile(r"^ +", re.MULTILINE)


def strip(suffix: str, source: str) -> str:
    """`source` with the same code on the same lines; what `suffix` does not tell stays as it is."""
    return _BY_SUFFIX.get(suffix, str)(source)


def _strip_c(source: str) -> str:
    text = _C_COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), source)
    return _INDENT.sub("", text)


def _strip_sql(source: str) -> str:
    return _INDENT.sub("", _SQL_COMMENT.sub("", source))


def _strip_hashes(source: str) -> str:
    """Units and the shell script, which has no here-document."""
    return _HASH_COMMENT.sub("", source)


def _strip_python(source: str) -> str:
    """Each docstring becomes an empty string; a function's annotations go, a class's stay."""
    text = _without_annotations(_without_docstrings(source))
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "".join(f"{line}\n" for line in lines)


def _without_docstrings(source: str) -> str:
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        docstring = _docstring(node)
        if docstring is not None:
            first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
            after = lines[last].encode()[docstring.end_col_offset :].decode()
            lines[first] = f'{lines[first].encode()[: docstring.col_offset].decode()}""{after}'
            lines[first + 1 : last + 1] = [""] * (last - first)
    return "".join(f"{line}\n" for line in lines)


def _without_annotations(source: str) -> str:
    """Those of dataclasses' fields are code; nothing of ours asks for a function's."""
    lines = [line.encode() for line in source.splitlines()]
    cuts: list[tuple[int, int, int]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg) and node.annotation is not None:
            end = node.col_offset + len(node.arg.encode())
            cuts.append(_cut(node.annotation, end, node.lineno))
        elif isinstance(node, _FUNCTION) and node.returns is not None:
            arrow = lines[node.returns.lineno - 1].rfind(b"->", 0, node.returns.col_offset)
            if arrow >= 0:
                cuts.append(_cut(node.returns, arrow, node.returns.lineno))
    for row, start, end in sorted(cuts, reverse=True):
        lines[row] = lines[row][:start].rstrip() + lines[row][end:]
    return "".join(f"{line.decode()}\n" for line in lines)


def _cut(annotation: ast.expr, start: int, row: int) -> tuple[int, int, int]:
    """Row from 0 and columns, in bytes, of an annotation with what leads to it."""
    end = annotation.end_col_offset or start
    return (row - 1, start, end if annotation.end_lineno == row else start)


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return None
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first if isinstance(first.value.value, str) else None
    return None


_BY_SUFFIX: dict[str, Callable[[str], str]] = {
    ".py": _strip_python,
    ".c": _strip_c,
    ".sql": _strip_sql,
    ".service": _strip_hashes,
    ".timer": _strip_hashes,
    "": _strip_hashes,
}
