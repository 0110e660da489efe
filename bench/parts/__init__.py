"""What can be measured, by name."""

from importlib import import_module
from typing import cast

from bench.part import Part

#: Measured where no part is named.
USUAL = ("kernels", "memory", "end-to-end", "growth")
QUICK = (*USUAL, "latency", "threads")
#: Long, or in need of a checkout where nothing stands: by name only.
NAMES = (*USUAL, "latency", "growth-100000", "threads", "commands", "first-boot")


def load(name: str) -> Part:
    """The part of that name."""
    return cast(Part, import_module(f"bench.parts.{name.replace('-', '_')}"))
