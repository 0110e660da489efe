"""What `cpu_sampler` wrote: a Python stack for each few milliseconds of CPU time."""

import linecache
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_START = "Stack (most recent call first):\n"
_FRAME = re.compile(r'File "(?P<path>.+)", line (?P<line>\d+) in (?P<function>.+)')


@dataclass(frozen=True)
class Frame:
    """A function that was running.

    Attributes:
        module: Its module, with dots; "importlib._bootstrap" and the like without a file, too.
        function: Its name, without its class.
        text: The line of its source that was running, "" where there is none.
    """

    module: str
    function: str
    text: str


Stack = Sequence[Frame]  # innermost first


@dataclass(frozen=True)
class Samples:
    """The samples of some processes.

    Attributes:
        stacks: One for each interval of CPU time.
        start: Seconds of CPU before sampling began.
    """

    stacks: Sequence[Stack]
    start: float


def read(folder: Path, source: Path) -> Samples:
    """Read the samples of all processes.

    Args:
        folder: The folder with a file for each process.
        source: The folder that the worker was imported from, while it is there.

    Returns:
        The samples. Frames that two processes' threads wrote at once, mixed up, are left out.
    """
    stacks, start = [], 0.0
    roots = [str(source), *(sysconfig.get_path(name) for name in ("purelib", "stdlib"))]
    for path in sorted(folder.iterdir()):
        first, *rest = path.read_text(encoding="utf-8", errors="replace").split(_START)
        start += float(first)
        stacks += [list(_frames(text, roots)) for text in rest]
    return Samples(stacks, start)


def _frames(text: str, roots: Sequence[str]) -> Iterator[Frame]:
    for found in _FRAME.finditer(text):
        path = found["path"]
        line = linecache.getline(path, int(found["line"])).strip()
        yield Frame(_module(path, roots), found["function"], line)


def _module(path: str, roots: Sequence[str]) -> str:
    for root in roots:
        if path.startswith(f"{root}/"):
            name = path.removeprefix(f"{root}/").removesuffix(".py").replace("/", ".")
            return name.removesuffix(".__init__")
    return path.removeprefix("<frozen ").strip("<>")
