"""Python sources without comments and docstrings: user-data has room for what runs.

Line numbers stay, so that a traceback of the machine fits the clone. The result depends on the
text alone, not on the Python that makes it.
"""

import ast
import io
import tokenize

_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def strip(source: str) -> str:
    """`source` with the same code on the same lines; each docstring becomes an empty string."""
    text = _without_docstrings(source)
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


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return None
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first if isinstance(first.value.value, str) else None
    return None
