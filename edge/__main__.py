"""`python -m edge run | check --settings edge.toml`: a camera that sends pictures to the cloud.

Exit status: 0 done, 1 failed (one sentence on standard error says why), 2 the settings are wrong.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from edge.settings import load
from worker.errors import InvalidSettings, PipelineError


def main() -> int:
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m edge", description=__doc__)
    parser.add_argument("command", choices=("run", "check"), help="what to do")
    parser.add_argument("--settings", type=Path, default=Path("edge.toml"), metavar="FILE")
    options = parser.parse_args()
    # A descriptor of its own: while a picture of a folder is decoded, libtiff's messages are read
    # from standard error, and other threads' lines would be lost.
    log = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=log)
    try:
        settings = load(options.settings)
        if options.command == "check":
            from edge.check import check  # noqa: PLC0415

            return 0 if check(settings) else 1
        from edge.service import run  # noqa: PLC0415

        run(settings)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    except PipelineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
