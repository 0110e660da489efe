"""A long time of random load and faults: exact accounting, and resources that do not grow."""

from statistics import median

from bench.benchmark import Result, Setup
from bench.soak import Sample, Soak
from bench.table import Table

TITLE = "Random load and faults"
TEXT = """Three machines, a pipeline and its reader, moto's S3 server with versions, PostgreSQL. A
user puts, replaces and deletes photographs and files that are none. One request in a hundred is
reset, cut or answered with 503, and every five seconds a worker gets SIGKILL or SIGTERM, or is
frozen beyond its leases. At the end each upload must have exactly one job with the right result
(bench/oracle.py), or the benchmark fails. One worker meets no faults: its memory (PSS, with its
transforms), its open descriptors, and all workers' sessions at the database are compared between
the second and the last quarter of the time, median to median."""

_MIN_SAMPLES = 8  # per quarter, for a comparison


def measure(setup: Setup) -> Result:
    """Soak for `setup.minutes`; a RuntimeError says what was not exact."""
    with Soak(setup.folder / "soak", setup.source, seed=1) as soak:
        samples = soak.run(60 * setup.minutes)
        problems = soak.finish()
        counts = soak.counts
    if problems:
        raise RuntimeError("the accounting is not exact: " + " ".join(problems))
    ratios = _ratios(samples)
    rows = [
        *([name, str(count)] for name, count in counts.items()),
        *([f"{name}, last quarter to second", f"{ratio:.2f}×"] for name, ratio in ratios.items()),
    ]
    figures = ratios | {"minutes": setup.minutes, "problems": 0.0}
    return Result([Table("", ["what", f"in {setup.minutes:g} minutes"], rows)], figures)


def _ratios(samples: list[Sample]) -> dict[str, float]:
    """Return how much resources grew; nothing if the time was too short."""
    quarter = len(samples) // 4
    if quarter < _MIN_SAMPLES:
        return {}
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]

    def ratio(name: str) -> float:
        values = [[getattr(one, name) for one in part] for part in (early, late)]
        return float(median(values[1]) / max(median(values[0]), 1))

    return {name: ratio(name) for name in ("memory", "descriptors", "connections")}
