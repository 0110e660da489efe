"""Targets of the figures, and whether they are met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import alternatives
from bench.revision import BASE
from bench.table import Table

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """A bound on a figure of a benchmark; `least` or `most` is None."""

    what: str
    benchmark: str
    value: Callable[[Figures], float]
    unit: str
    least: float | None = None
    most: float | None = None

    def bound(self) -> str:
        """Return the bound as text."""
        if self.least is not None:
            return f"≥ {self.least:g}{self.unit}"
        return f"≤ {self.most:g}{self.unit}"

    def is_met(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value >= self.least if self.least is not None else value <= (self.most or 0)


def _figure(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name]


def _least(*names: str) -> Callable[[Figures], float]:
    return lambda figures: min(figures[name] for name in names)


def _most(*names: str) -> Callable[[Figures], float]:
    return lambda figures: max(figures[name] for name in names)


def _quotient(above: str, below: str) -> Callable[[Figures], float]:
    return lambda figures: figures[above] / figures[below]


def _kernel(what: str, picture: str, alternative: str, least: float) -> Target:
    return Target(what, "kernels", _figure(f"{picture}: {alternative}"), "×", least=least)


def _png(size: str) -> list[Target]:
    name = f"{size} PNG"
    what = f"PNG RGB {size[1:]} MP,"
    return [
        _kernel(f"{what} against `convert`", name, alternatives.CONVERT, 15),
        _kernel(f"{what} against Pillow's default", name, "Pillow", 15),
        Target(
            f"{what} size of the result to the source's",
            "kernels",
            _figure(f"{name}: size"),
            "×",
            most=1.06,
        ),
    ]


def _palette(size: str, form: str) -> Target:
    name = f"{size} {form}: ms more than a copy"
    what = f"{form} {size[1:]} MP, more than a plain copy of the file"
    return Target(what, "kernels", _figure(name), " ms", most=1)


def _compared(what: str, most: float, *names: str) -> Target:
    """Return a bound on the largest of some ratios of `compare`."""
    ratios = _most(*(f"{name}: ratio" for name in names))
    return Target(f"{what}, to {BASE}", f"compare {BASE}", ratios, "×", most=most)


#: 80 % (pipeline.slice) of what a machine of 1 GB has beside its kernel: 0.9 GiB.
_SLICE_MB = 773
_PHOTO, _SCAN = "12 MP JPEG q90, photographs,", "12 MP JPEG q90, painting,"
_P12, _E12 = "P12 JPEG q90", "E12 JPEG q90"
_FLEET_FAULTS = ("killed", "frozen", "cut off")
TARGETS: Sequence[Target] = (
    _kernel(f"{_PHOTO} against `convert -negate`", _P12, alternatives.CONVERT, 20),
    _kernel(f"{_SCAN} against `convert -negate`", _E12, alternatives.CONVERT, 12),
    _kernel(f"{_PHOTO} against the fastest of Pillow", _P12, "Pillow", 7),
    _kernel(f"{_SCAN} against the fastest of Pillow", _E12, "Pillow", 4),
    Target(
        "12 MP JPEG q90, against an identity transcode",
        "kernels",
        _least(f"{_P12}: {alternatives.IDENTITY}", f"{_E12}: {alternatives.IDENTITY}"),
        "×",
        least=2,
    ),
    Target(
        "progressive JPEG, against `convert`",
        "kernels",
        _least(
            *(f"{size} JPEG progressive: {alternatives.CONVERT}" for size in ("P2", "P12", "E12"))
        ),
        "×",
        least=3,
    ),
    *(
        Target(
            f"TIFF, 12 MP RGB of 16 bits, {name}, against `convert`",
            "tiff",
            _figure(f"{name}: {alternatives.CONVERT}"),
            "×",
            least=least,
        )
        for name, least in (("no compression", 20), ("LZW", 4), ("Deflate", 4))
    ),
    Target(
        "TIFF, pyramid of 100 MP with JPEG tiles, against libvips",
        "tiff",
        _figure(f"pyramid of JPEG tiles: {alternatives.VIPS}"),
        "×",
        least=3,
    ),
    Target(
        "TIFF, the same, extra memory",
        "tiff",
        _figure("pyramid of JPEG tiles: extra MB"),
        " MB",
        most=64,
    ),
    *_png("P2"),
    *_png("P12"),
    *(_palette(size, form) for size in ("P2", "P12") for form in ("PNG palette", "GIF")),
    Target(
        "extra memory for a 100 MP JPEG (progressive too) beyond 1.5 × the file + 16 MB",
        "memory",
        _most(*(f"100 MP {kind}: MB more than allowed" for kind in ("JPEG", "progressive JPEG"))),
        " MB",
        most=0,
    ),
    Target(
        "end to end, 2 MP photographs, against the script without its sleep",
        "end-to-end",
        _figure("times the script without its sleep"),
        "×",
        least=150,
    ),
    _compared(
        "CPU of the worker's processes for a 2 MP photograph, 2,000 in a pass",
        0.6,
        "CPU for each 2 MP photo, ms",
    ),
    _compared(
        "CPU of the worker's processes for an object of at most 20 KB, 10,000 in a pass",
        0.6,
        "CPU for each small object, ms",
    ),
    _compared(
        "peak memory of these passes",
        0.8,
        "2 MP photos: peak memory of a pass, MB",
        "small objects: peak memory of a pass, MB",
    ),
    Target(
        "CPU of the worker's processes for a 2 MP photograph, in a pass of 2,000",
        "end-to-end",
        _figure("ours, a long pass: CPU ms"),
        " ms",
        most=8,
    ),
    Target(
        "1,000 photographs with 60 difficult objects before them, to those alone",
        "difficult-objects",
        _figure("times"),
        "×",
        most=1.2,
    ),
    Target(
        "`faces`, 2 MP photographs through the pipeline, CPU against the detector alone",
        "faces",
        _figure("the pipeline: times"),
        "×",
        most=1.15,
    ),
    Target(
        "`answers`, 1,000 rows of 120 tokens, against one row at a time, padded to 384",
        "answers",
        _figure("to one padded row"),
        "×",
        least=2.5,
    ),
    Target(
        "`answers`, the same, against one row at a time, as long as it is, one thread",
        "answers",
        _figure("to one row, one thread"),
        "×",
        least=2.5,
    ),
    Target(
        "`answers`, the same, against one row at a time, as long as it is, a thread per core",
        "answers",
        _figure("to one row"),
        "×",
        least=2.5,
    ),
    Target(
        "starting a job of a command on a `process` machine, more than fork and exec",
        "command",
        _figure("process: CPU ms more"),
        " ms CPU",
        most=15,
    ),
    Target(
        "starting a job of a command in its own unit, more than fork and exec",
        "command",
        _figure("container: ms more"),
        " ms",
        most=60,
    ),
    *(
        Target(
            f"`./pipeline {name}`, warm, wall, against {BASE}",
            "commands",
            _figure(f"{name}: ratio"),
            "×",
            most=0.6,
        )
        for name in ("demo", "up", "destroy")
    ),
    Target("`put` to negative, median", "latency", _figure("median s"), " s", most=1),
    Target("`put` to negative, p99", "latency", _figure("p99 s"), " s", most=3),
    Target(
        "100,000 objects: worker's CPU an object, to that for 1,000",
        "growth-100000",
        _figure("CPU ratio"),
        "×",
        most=1.05,
    ),
    Target(
        "100,000 objects: peak memory, to that for 1,000",
        "growth-100000",
        _quotient("100000: peak MB", "1000: peak MB"),
        "×",
        most=1.2,
    ),
    Target(
        "three chained pipelines, to the slowest of them alone",
        "chains",
        _quotient("chain s", "slowest s"),
        "×",
        most=1.3,
    ),
    Target(
        "messages of 200 KB, one core, `worker ingest` against a loop of paho and boto3's PUT",
        "ingest",
        _figure("times"),
        "×",
        least=3,
    ),
    Target(
        "camera's frame to stored object, 5 cameras with 2 faces a second, median",
        "camera",
        _figure("median s"),
        " s",
        most=0.5,
    ),
    Target(
        "camera's frame to stored object, 5 cameras with 2 faces a second, p99",
        "camera",
        _figure("p99 s"),
        " s",
        most=1.5,
    ),
    Target(
        "gather of 200 results: start after the last of them is recorded",
        "gather",
        _figure("start s"),
        " s",
        most=2,
    ),
    Target("the page's views with 10⁶ results: p99", "page", _figure("p99 ms"), " ms", most=100),
    Target(
        "1,000 files of 280 KB through the upload API, against `aws s3 cp --recursive`, wall",
        "upload",
        _figure("times"),
        "×",
        most=1.5,
    ),
    Target(
        "5 GiB through the upload API, memory of the service above idle",
        "upload",
        _figure("5 GiB: MB above idle"),
        " MB",
        most=64,
    ),
    Target(
        "4 machines of a fixed share of a core against 1, jobs a second",
        "scale",
        _figure("4: times"),
        "×",
        least=3.7,
    ),
    Target(
        "CPU of the worker's processes for a 2 MP photograph, with the queue against without",
        "queue",
        _figure("one machine with it: times"),
        "×",
        most=1.1,
    ),
    Target(
        "the same, with PostgreSQL's CPU",
        "queue",
        _figure("one machine with it: times with PostgreSQL"),
        "×",
        most=1.1,
    ),
    Target(
        "put to result, an idle fleet of three machines, median",
        "fleet-latency",
        _figure("3: median s"),
        " s",
        most=1,
    ),
    Target(
        "put to result, an idle fleet of three machines, p99",
        "fleet-latency",
        _figure("3: p99 s"),
        " s",
        most=2,
    ),
    Target(
        "1 GB: three pipelines, the page, ingest and broker, largest sum of PSS; the slice allows",
        "tiny-machine",
        _figure("largest MB"),
        " MB",
        most=_SLICE_MB,
    ),
    Target(
        "a machine killed, frozen or cut off in 1,000 jobs: rows beyond one an object",
        "fleet-faults",
        _most(*(f"{fault}: rows too many" for fault in _FLEET_FAULTS)),
        "",
        most=0,
    ),
    Target(
        "the same: until the jobs are done that it had, after the fault",
        "fleet-faults",
        _most(*(f"{fault}: delay s" for fault in _FLEET_FAULTS)),
        " s",
        most=60,
    ),
    Target(
        "100,000 objects, two machines: workers' CPU an object, to that for 1,000",
        "fleet-growth",
        _quotient("100000: CPU ms", "1000: CPU ms"),
        "×",
        most=1.1,
    ),
)


def evaluate(measured: Mapping[str, Figures]) -> Table:
    """Compare every target with the last figure of its benchmark."""
    lines = []
    for target in TARGETS:
        try:
            value = target.value(measured[target.benchmark])
        except KeyError:
            cells = ["–", f"not measured: `{target.benchmark}`"]
        else:
            cells = [f"{value:.4g}{target.unit}", "yes" if target.is_met(value) else "**no**"]
        lines.append([target.what, target.bound(), *cells])
    return Table("", ["what", "target", "measured", "met?"], lines)
