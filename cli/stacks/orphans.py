"""Engines, and their plugins, that a killed `./pipeline` left at work."""

import signal

import psutil

from local import processes

OWNER = "PIPELINE_PID"
"""Variable that tells an engine's processes which command started them."""
_SECONDS = 15


def end_orphans(passphrase_file: str) -> None:
    """End those of one stack whose command is gone; an interrupted engine still writes its state.

    A `pulumi` that a person typed has no owner and is left alone; the local cloud's processes are
    the cloud's to end.
    """
    orphans = [each for each in psutil.process_iter() if _is_orphan(each, passphrase_file)]
    for process in orphans:
        process.send_signal(signal.SIGINT)
    for process in psutil.wait_procs(orphans, timeout=_SECONDS)[1]:
        process.kill()
    psutil.wait_procs(orphans, timeout=_SECONDS)


def _is_orphan(process: psutil.Process, passphrase_file: str) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    owner = environment.get(OWNER, "")
    ours = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE") == passphrase_file
    ours = ours and processes.VARIABLE not in environment
    return ours and owner.isdigit() and not psutil.pid_exists(int(owner))
