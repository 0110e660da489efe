"""Plots: what they show, and how they are drawn as PNG files.

matplotlib is imported when a plot is saved: the tests run without it.
"""

# ruff: noqa: PLC0415

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _DPI = 8.0, 110


@dataclass(frozen=True)
class Bars:
    """Grouped bars; a value is (median, minimum, maximum)."""

    name: str
    title: str
    unit: str
    groups: Mapping[str, Mapping[str, tuple[float, float, float]]]  # group: series: value
    base: float = 1.0  # start of the logarithmic axis


@dataclass(frozen=True)
class StackedBars:
    """A bar for each group, of its parts one after the other."""

    name: str
    title: str
    unit: str
    groups: Mapping[str, Mapping[str, float]]  # group: part: value


@dataclass(frozen=True)
class Lines:
    """Lines through the (x, y) points of each series."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = False  # x


Plot = Bars | StackedBars | Lines


def save(plot: Plot, folder: Path) -> Path:
    """Draw a plot as NAME.png in the folder; return its path."""
    from matplotlib.figure import Figure

    if isinstance(plot, Bars):
        figure = _bars(plot)
    elif isinstance(plot, StackedBars):
        figure = _stacked_bars(plot)
    else:
        figure = Figure(figsize=(_WIDTH, 4), layout="constrained")
        axes = figure.subplots()
        for name, points in plot.series.items():
            marker = "o" if len(points) < 20 else None  # noqa: PLR2004
            axes.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=4)
        if plot.logarithmic:
            axes.set_xscale("log")
        axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    path = folder / f"{plot.name}.png"
    # Without the version of matplotlib, so that the same figures give the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


def _bars(plot: Bars) -> "Figure":
    """Draw horizontal bars on a logarithmic axis: ratios go from 1 to 40."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    names = list(dict.fromkeys(name for group in plot.groups.values() for name in group))
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    count = sum(len(group) for group in plot.groups.values())
    size = (_WIDTH, 1 + 0.16 * count + 0.12 * len(plot.groups))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    place, ticks = 0.0, []
    for group, values in plot.groups.items():
        start = place
        for name, (middle, least, most) in values.items():
            spread = [[max(middle - least, 0)], [max(most - middle, 0)]]
            axes.barh(place, middle, color=colours[name], xerr=spread, ecolor="#555555")
            axes.text(max(middle, most) * 1.03, place, f"{middle:.1f}", va="center", fontsize=7)
            place += 1
        ticks.append(((start + place - 1) / 2, group))
        place += 0.8
    axes.set_yticks([at for at, _ in ticks], [group for _, group in ticks])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=plot.base, right=axes.get_xlim()[1] * 1.3)
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:g}" if f"{value:g}".strip("0.")[:1] in "125" else "")
    axes.set(title=plot.title, xlabel=plot.unit)
    axes.grid(axis="x", alpha=0.3)
    if names == [""]:
        return figure
    handles = [Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
    axes.legend(handles, names, fontsize="x-small", loc="best")
    return figure


def _stacked_bars(plot: StackedBars) -> "Figure":
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    parts = list(dict.fromkeys(part for group in plot.groups.values() for part in group))
    figure = Figure(figsize=(_WIDTH, 2 + 0.5 * len(plot.groups)), layout="constrained")
    axes = figure.subplots()
    start = dict.fromkeys(plot.groups, 0.0)
    for number, part in enumerate(parts):
        widths = {name: max(group.get(part, 0), 0) for name, group in plot.groups.items()}
        color = colormaps["tab20"](number % 20)
        axes.barh(
            list(widths), list(widths.values()), left=list(start.values()), color=color, label=part
        )
        start = {name: start[name] + width for name, width in widths.items()}
    axes.invert_yaxis()
    axes.set(title=plot.title, xlabel=plot.unit)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(fontsize="x-small", loc="outside lower center", ncols=4)
    return figure
