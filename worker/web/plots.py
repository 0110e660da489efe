"""Bars of jobs by time, as the overview draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.web.throughput import Period

#: Of a drawing, and of a period's bar with the gap beside it; templates/plots.html has them too.
HEIGHT, STEP = 48, 4


@dataclass(frozen=True)
class Bar:
    """A period's bar: from the bottom up jobs that are done, then quarantined ones.

    Attributes:
        x: Its left edge.
        done: The height of the done jobs.
        failed: The height of the quarantined jobs.
        text: What it shows, in words.
    """

    x: int
    done: float
    failed: float
    text: str


@dataclass(frozen=True)
class Plot:
    """A plot. Attributes: title, bars, width, text (sums), most (of one period)."""

    title: str
    bars: Sequence[Bar]
    width: int
    text: str
    most: int


def plot(
    title: str, periods: Sequence[Period], words: tuple[str, str] = ("done", "quarantined")
) -> Plot:
    """Return the plot of some periods.

    Args:
        title: What stands above it.
        periods: Oldest first.
        words: What the two parts of a bar are.
    """

    def text(done: int, failed: int) -> str:
        return f"{done:,} {words[0]}" + (f", {failed:,} {words[1]}" if failed else "")

    most = max((one.done + one.failed for one in periods), default=0)
    scale = HEIGHT / max(most, 1)
    bars = [
        Bar(
            i * STEP,
            round(one.done * scale, 1),
            round(one.failed * scale, 1),
            f"{one.start:%H:%M} UTC: {text(one.done, one.failed)}",
        )
        for i, one in enumerate(periods)
        if one.done or one.failed
    ]
    sums = text(sum(one.done for one in periods), sum(one.failed for one in periods))
    return Plot(title, bars, STEP * len(periods), sums, most)
