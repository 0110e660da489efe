"""Processes that tests look at from outside."""

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie, which nobody has collected yet, does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:  # it has ended between the two questions
        return False
