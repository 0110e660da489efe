"""Run the fuzzers for long: `python -m tests.fuzz SECONDS [SEED]`, half of it under sanitizers."""

import sys
import tempfile
from pathlib import Path

from tests.fuzz import mutation, sanitized

if __name__ == "__main__":
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as name:
        print(sanitized.run(Path(name), seconds / 2, seed))
    print(mutation.run(seconds / 2, seed))
