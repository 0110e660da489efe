"""The benchmarks, by name."""

from importlib import import_module
from typing import cast

from bench.benchmark import Benchmark

#: Run if none is named.
USUAL = ("kernels", "tiff", "memory", "end-to-end", "growth", "difficult-objects")
QUICK = (
    *(*USUAL, "latency", "threads", "soak", "faces", "chains", "gather", "ingest", "page"),
    *("upload", "scale", "queue", "fleet-latency", "fleet-faults", "fleet-growth"),
    *("profile", "tiny-machine"),
)
#: Those not in USUAL take long, or need a checkout without a local stack.
NAMES = (
    *(*USUAL, "latency", "growth-100000", "threads", "commands", "first-boot", "soak"),
    *("faces", "answers", "command", "chains", "gather", "ingest", "camera", "page", "upload"),
    *("scale", "queue", "fleet-latency", "fleet-faults", "fleet-growth", "compare"),
    *("profile", "tiny-machine"),
)


def load(name: str) -> Benchmark:
    """Import the benchmark of that name."""
    return cast(Benchmark, import_module(f"bench.benchmarks.{name.replace('-', '_')}"))
