"""A picture of a table of answers: the answers are marked where they were found. SVG."""

import csv
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

_LINE, _MARGIN = 24, 16
_COLUMNS = (("question", 16), ("context", 330), ("answer", 972), ("score", 1240))
_WIDTH = 1300
_SHOWN = 76  # characters of a context
_STYLE = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #24292f; white-space: pre }
.head { font-weight: bold }
.found { fill: #0a6640; font-weight: bold }
.none { fill: #a04000; font-style: italic }
"""


def draw(table: Path) -> str:
    """Draw a result of the transform `answers`.

    Args:
        table: The CSV.

    Returns:
        An SVG.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    height = _LINE * (len(rows) + 1) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        *(_text(x, 0, f'<tspan class="head">{name}</tspan>') for name, x in _COLUMNS),
    ]
    for number, row in enumerate(rows, 1):
        if number % 2:
            top = _LINE * number + 4
            lines.append(f'<rect y="{top}" width="{_WIDTH}" height="{_LINE}" fill="#f3f6f8"/>')
        lines += [
            _text(x, number, cell) for (_, x), cell in zip(_COLUMNS, _cells(row), strict=True)
        ]
    return "\n".join([*lines, "</svg>", ""])


def _cells(row: Mapping[str, str]) -> Iterator[str]:
    yield escape(row["question"])
    yield _context(row)
    if row["answer"]:
        yield f'<tspan class="found">{_shown(row["answer"])}</tspan>'
    else:
        yield f'<tspan class="none">{escape(row["error"] or "no answer")}</tspan>'
    yield f"{float(row['score']):.3f}" if row["score"] else ""


def _context(row: Mapping[str, str]) -> str:
    """Return the context with its answer marked."""
    text = row["context"]
    start, end = (int(row[name] or len(text)) for name in ("start", "end"))
    after = text[end:][: max(0, _SHOWN - end)]
    more = "…" if end + len(after) < len(text) else ""
    found = f'<tspan class="found">{_shown(text[start:end])}</tspan>'
    return f"{_shown(text[:start])}{found}{_shown(after)}{more}"


def _shown(text: str) -> str:
    return escape(text.replace("\n", " ⏎ "))


def _text(x: int, number: int, content: str) -> str:
    return f'<text x="{x}" y="{_LINE * number + 21}">{content}</text>'
