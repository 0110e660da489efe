"""What a person sees while something lasts: a moving line on a terminal, plain lines elsewhere."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.text import Text

# A terminal that has no "…" shows a "?" there: no reason to stop.
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):
        _stream.reconfigure(errors="replace")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
_SPINNER = 3  # columns that the spinner and what is beside it take


def print_progress(text: str) -> None:
    """One plain line of progress, on standard error so that `--json` stays clean."""
    err.print(text, markup=False, soft_wrap=True)


class Spinner:
    """A spinner whose text may change; where there is no terminal, each new text is a line."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._last = ""

    def update(self, text: str) -> None:
        """Say what is being waited for now."""
        if text == self._last:
            return
        self._last = text
        if self._status is None:
            print_progress(f"{text} …")
        else:
            self._status.update(_line(text))

    def show(self, text: str) -> None:
        """A detail for the moving line alone: too fleeting to be a line of a log."""
        if self._status is not None:
            self._status.update(_line(text))


def _line(text: str) -> Text:
    """One line, however narrow the terminal: a text that wraps makes all above it jump."""
    line = Text(f"{text} …")
    line.truncate(err.width - _SPINNER, overflow="ellipsis")
    return line


@contextmanager
def spinner(text: str) -> Iterator[Spinner]:
    """Show that something lasts."""
    if err.is_terminal:
        with err.status(_line(text)) as status:
            yield Spinner(status)
    else:
        handle = Spinner(None)
        handle.update(text)
        yield handle


class ProgressBar:
    """A bar from 0 to a total; where there is no terminal, a line at each quarter."""

    def __init__(self, text: str, total: int, bar: Progress | None) -> None:
        self._text, self._total, self._bar = text, total, bar
        self._task = bar.add_task(text, total=total) if bar else None
        self._quarter = 0

    def at(self, done: int) -> None:
        """`done` of the total are done."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)
            return
        quarter = 4 * done // max(self._total, 1)
        if quarter > self._quarter:
            self._quarter = quarter
            print_progress(f"{self._text}: {done} of {self._total}")


@contextmanager
def progress_bar(text: str, total: int) -> Iterator[ProgressBar]:
    """Show how much of a known amount is done."""
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=err, transient=True) as bar:
            yield ProgressBar(text, total, bar)
    else:
        yield ProgressBar(text, total, None)
