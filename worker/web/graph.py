"""Where the overview draws each pipeline, and the lines between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.settings import Pipeline

WIDTH, HEIGHT = 208, 84  # of a node, in pixels
_GAP_X, _GAP_Y = 64, 20
_MARGIN = 2


@dataclass(frozen=True)
class Graph:
    """A drawing of pipelines from left to right.

    Attributes:
        nodes: By pipeline, its left and upper edge.
        lines: Paths of the lines (SVG 2, 9.3).
        width: Of the drawing.
        height: Of the drawing.
    """

    nodes: Mapping[str, tuple[int, int]]
    lines: list[str]
    width: int
    height: int


def draw(pipelines: Mapping[str, Pipeline]) -> Graph:
    """Lay pipelines out: each right of all that it reads from.

    Args:
        pipelines: By name; they have no loops.

    Returns:
        The drawing.
    """
    columns: dict[str, int] = {}

    def column(name: str) -> int:
        if name not in columns:
            columns[name] = 1 + max(map(column, pipelines[name].sources), default=-1)
        return columns[name]

    rows: dict[int, list[str]] = {}
    for name in pipelines:
        rows.setdefault(column(name), []).append(name)
    tallest = max(map(len, rows.values()))
    nodes = {}
    for number, names in rows.items():
        above = (tallest - len(names)) * (HEIGHT + _GAP_Y) // 2
        for place, name in enumerate(names):
            x = _MARGIN + number * (WIDTH + _GAP_X)
            nodes[name] = (x, _MARGIN + above + place * (HEIGHT + _GAP_Y))
    lines = [
        _line(nodes[source], nodes[name])
        for name in pipelines
        for source in pipelines[name].sources
    ]
    width = len(rows) * (WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = tallest * (HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    return Graph(nodes, lines, width, height)


def _line(source: tuple[int, int], target: tuple[int, int]) -> str:
    """Return a curve from the right edge of a node to the left edge of another."""
    x1, y1 = source[0] + WIDTH, source[1] + HEIGHT // 2
    x2, y2 = target[0], target[1] + HEIGHT // 2
    bend = min(_GAP_X, x2 - x1) // 2
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
