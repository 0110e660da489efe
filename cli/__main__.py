"""`python -m cli`: what ./pipeline runs."""

import signal

# Until a command runs, Ctrl-C ends the process: Python's own handler prints a traceback if it comes
# while modules are imported. The script blocks the signal until here.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from cli.commands import main  # noqa: E402

if __name__ == "__main__":
    main(prog_name="./pipeline", complete_var="_PIPELINE_COMPLETE")
