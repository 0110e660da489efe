"""The journals of machines, printed one after the other or, with `--follow`, together."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from cli.terminal import print_result

_Processes = Mapping[str, "subprocess.Popen[str]"]


def print_journals(commands: Mapping[str, Sequence[str]], *, follow: bool) -> int:
    """Run the commands that print machines' journals; with several, each line names its machine.

    Args:
        commands: By the machine's name.
        follow: Whether they run until Ctrl-C: then all at once, else one after the other, so that
            ssh asks for one passphrase at a time.

    Returns:
        The first exit status that is not 0, else 0.
    """
    several = len(commands) > 1
    statuses = []
    for group in [commands] if follow else [{name: commands[name]} for name in commands]:
        with _running(group) as processes:
            try:
                for name, line in _lines(processes):
                    print_result(f"{name}: {line}" if several else line)
            except KeyboardInterrupt:
                return 0
            statuses += [process.wait() for process in processes.values()]
    return next((status for status in statuses if status), 0)


@contextmanager
def _running(commands: Mapping[str, Sequence[str]]) -> Iterator[_Processes]:
    """Start commands, and end those that still run after the context."""
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        for name, command in commands.items():
            processes[name] = subprocess.Popen(
                command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
            )
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()


def _lines(processes: _Processes) -> Iterator[tuple[str, str]]:
    """Yield name and line as they come, until all processes have ended."""
    found: SimpleQueue[tuple[str, str | None]] = SimpleQueue()

    def read(name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            found.put((name, line.rstrip("\n")))
        process.stdout.close()
        found.put((name, None))

    for name, process in processes.items():
        Thread(target=read, args=(name, process), daemon=True).start()
    running = len(processes)
    while running:
        name, text = found.get()
        if text is None:
            running -= 1
        else:
            yield name, text
