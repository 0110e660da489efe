"""Cost per object of a pass over 100,000 objects.

`./pipeline bench growth-100000`
"""

from bench.benchmark import Result, Setup
from bench.benchmarks import growth

TITLE = "Growth to 100,000 objects"
TEXT = """As above, in one run, and again one folder holds all objects. The store is `rclone serve
s3` because its objects are files, laid into its folder in seconds, and because it answers fastest
of those at hand (moto takes 1.5 to 2.2 times as long per request, and keeps all in memory). It runs
with `--no-unicode-normalization`: else every PUT compares its key with all others of the output
folder, and what a pass costs grows with the square of its objects."""


def measure(setup: Setup) -> Result:
    """Measure 1,000 and 100,000 objects in one run."""
    counts = (100, 1000) if setup.quick else (1000, 100_000)
    return growth.grow(setup, counts, "growth-100000")
