"""Growth, to 100,000 objects."""

from bench.part import Request, Result
from bench.parts import growth

TITLE = "Growth to 100,000 objects"
TEXT = growth.TEXT


def measure(request: Request) -> Result:
    """1,000 and 100,000 in one run."""
    return growth.grow(request, (1000, 100_000), "growth-100000")
