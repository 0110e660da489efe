r"""What the commands print: plain text, tables, a spinner and a progress bar.

Nothing printed here is interpreted as markup, and control characters are printed as escape
sequences (`\\x1b`): keys, reasons and logs come from outside. Lines are never wrapped. Results go
to standard output, everything else to standard error, so that `--json` stays clean.
"""

import io
import os
import re
import sys
import time
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.status import Status

# A terminal whose encoding lacks a character shows "?" instead: no reason to fail.
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper):
        _stream.reconfigure(errors="replace")
#: Rows whose width a table looks at together: memory is bounded however many rows there are.
_PAGE = 100
_SPINNER_COLUMNS = 3
_WORTH_A_LINE_SECONDS = 2
#: C0 and C1 controls, lone surrogates (bytes that are not UTF-8), line and paragraph separators,
#: and characters that reorder what follows (UAX #9): they would let a key forge or hide text.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


def visible(text: str) -> str:
    r"""Return `text` as one line without control characters: they become `\\n`, `\\x1b`."""
    return _UNPRINTABLE.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004  a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def visible_lines(text: str) -> str:
    """Return `text` with its line ends kept and every other control character escaped."""
    return "\n".join(visible(line) for line in text.split("\n"))


def print_result(text: str = "", **style: Any) -> None:
    """Print lines on standard output; `style` is click.style's, for terminals."""
    print(_styled(visible_lines(text), **style), flush=True)


def _styled(text: str, **style: Any) -> str:
    is_plain = not style or not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if is_plain else click.style(text, **style)


def print_progress(text: str) -> None:
    """Print lines on standard error."""
    # Not click.echo, which would write past rich's spinner.
    print(visible_lines(text), file=sys.stderr, flush=True)


def print_section(title: str, lines: Sequence[str], limit: int | None = None) -> None:
    """Print a title and lines below it, if there are any, on standard output.

    Args:
        title: What the lines are.
        lines: They may hold anything.
        limit: How many are printed at most; the last line then says how many are left out.
    """
    if not lines:
        return
    left_out = 0 if limit is None else max(len(lines) - limit, 0)
    shown = lines[: len(lines) - left_out]
    if left_out:
        shown = [*shown, f"… {left_out} more lines: --json has all"]
    print_result(f"\n{title}")
    print_result("\n".join(f"  {line}" for line in shown))


def print_table(
    rows: Iterable[Sequence[str]], heading: Sequence[str] = (), right: Collection[int] = ()
) -> None:
    """Print rows in columns on standard output, as they come.

    Args:
        rows: The cells of each row; they may hold anything.
        heading: The names of the columns, printed even if there are no rows.
        right: The columns that are aligned to the right.
    """
    widths = [_width(name) for name in heading]
    remaining, is_first = iter(rows), bool(heading)
    while True:
        page = [[visible(cell) for cell in row] for row in islice(remaining, _PAGE)]
        for row in page:
            widths += [0] * (len(row) - len(widths))
            for column, cell in enumerate(row):
                widths[column] = max(widths[column], _width(cell))
        if is_first:
            print(_styled(_line(heading, widths, right), bold=True))
            is_first = False
        for row in page:
            print(_line(row, widths, right))
        sys.stdout.flush()
        if len(page) < _PAGE:
            return


def _line(cells: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    padded = []
    for column, cell in enumerate(cells):
        space = " " * (widths[column] - _width(cell))
        padded.append(space + cell if column in right else cell + space)
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Columns that a terminal needs for a text (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def _is_terminal() -> bool:
    return sys.stderr.isatty() or "FORCE_COLOR" in os.environ


class Spinner:
    """A spinner with a text; where there is no terminal, each new text is a line."""

    def __init__(self, status: "Status | None" = None) -> None:
        self._status = status
        self._last = ""

    def update(self, text: str) -> None:
        """Show what is being waited for now."""
        if text == self._last:
            return
        self._last = text
        if self._status is None:
            print_progress(f"{text} …")
        else:
            self.show(text)

    def show(self, text: str) -> None:
        """Show a text beside the spinner only: too short-lived to be a line of a log."""
        if self._status is None:
            return
        from rich.text import Text

        # One line on any terminal: a text that wraps makes the lines above it jump.
        line = Text(f"{visible(text)} …")
        line.truncate(self._status.console.width - _SPINNER_COLUMNS, overflow="ellipsis")
        self._status.update(line)


@contextmanager
def spinner(text: str) -> Iterator[Spinner]:
    """Show that something takes time."""
    started = time.monotonic()
    if not _is_terminal():
        handle = Spinner()
        handle.update(text)
        yield handle
    else:
        from rich.console import Console

        with Console(stderr=True, highlight=False).status("") as status:
            handle = Spinner(status)
            handle.update(text)
            yield handle
    _print_elapsed(text, started)


def _print_elapsed(text: str, started: float) -> None:
    """Print how long a step took, unless it was short."""
    elapsed = time.monotonic() - started
    if elapsed >= _WORTH_A_LINE_SECONDS:
        print_progress(f"{text}: {elapsed:.0f} s")


class ProgressBar:
    """Progress from 0 to a total; where there is no terminal, a line at each quarter."""

    def __init__(self, text: str, total: int, bar: Any = None) -> None:
        self._text, self._total, self._bar = text, total, bar
        self._quarter = 0

    def advance_to(self, done: int) -> None:
        """Show that `done` of the total are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.pos)
            return
        quarter = 4 * done // max(self._total, 1)
        if quarter > self._quarter:
            self._quarter = quarter
            print_progress(f"{self._text}: {done} of {self._total}")


@contextmanager
def progress_bar(text: str, total: int) -> Iterator[ProgressBar]:
    """Show how much of a known amount is done."""
    started = time.monotonic()
    if not sys.stderr.isatty():
        yield ProgressBar(text, total)
    else:
        with click.progressbar(
            length=total, label=visible(text), show_pos=True, show_percent=False, file=sys.stderr
        ) as bar:
            yield ProgressBar(text, total, bar)
    _print_elapsed(text, started)
