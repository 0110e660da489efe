"""Processes that tests look at from outside."""

from collections.abc import Iterable
from contextlib import suppress

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie, which nobody has collected yet, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:  # it has ended between the two questions
        return False


def with_word(processes: Iterable[psutil.Process], word: str) -> list[psutil.Process]:
    """Return those that run, and whose command line has a word."""
    found = []
    for process in processes:
        with suppress(psutil.Error):  # it has ended
            if is_alive(process) and word in process.cmdline():
                found.append(process)
    return found
