"""`answers` against a program that asks onnxruntime about one row at a time."""

import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from bench import question_model
from bench.benchmark import Result, Setup
from bench.photos import ROOT
from bench.table import Table
from bench.usage import tree_cpu_seconds
from worker.environment import Environment
from worker.sandbox.pool import Pool
from worker.settings import Limits

TITLE = "Answers"
TEXT = """Rows of 120 tokens; a model of DistilBERT's size with random weights, fp32. `answers`:
CSV files in the sandbox, with its defaults. Against it: the same tokenizer and search for the best
span, and onnxruntime's `InferenceSession.run` for one row after the other: with its default of a
thread per core, with one thread, and padded to 384 tokens, as many examples for such models do.
All take turns with the same files; ratios are of CPU (user + system), rows a second are by the
clock. int8: the model quantised by onnxruntime's `quantize_dynamic` (weights per channel). How many
answers agree is the random model's figure: many of its spans are almost as likely as the best, but
none of its activations is much larger than the others, as a trained model's are."""

_TOKENS, _PADDED = 120, 384
_ONE, _ONE_THREAD = "one row at a time", "one row at a time, one thread"
_ONE_PADDED = f"one row at a time, padded to {_PADDED}"
_OURS, _INT8 = "`answers`", "`answers`, int8 model"
_LIMITS = Limits(memory_mb=1024, cpu_seconds=3600, seconds=3600)


@dataclass(frozen=True)
class _Turn:
    """What a way took for a file: seconds by the clock, and of CPU."""

    seconds: float
    cpu: float


def measure(setup: Setup) -> Result:
    """Let all ways answer the same files in turns."""
    files, rows = (1, 40) if setup.quick else (5, 200)
    model, quantized = setup.folder / "model.onnx", setup.folder / "int8.onnx"
    tokenizer = setup.folder / "tokenizer.json"
    question_model.write_model(model)
    question_model.write_tokenizer(tokenizer)
    quantize_dynamic(
        model,
        quantized,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
    )
    sources = [setup.folder / f"{number}.csv" for number in range(files + 1)]
    for number, source in enumerate(sources):
        question_model.write_questions(source, 8 if number == 0 else rows, _TOKENS, number)
    with (
        _baseline(model, tokenizer) as one,
        _baseline(model, tokenizer, threads=1) as thread,
        _baseline(model, tokenizer, length=_PADDED) as padded,
        _answers(setup.folder / "fp32", model, tokenizer) as ours,
        _answers(setup.folder / "int8", quantized, tokenizer) as int8,
    ):
        ways = {_ONE: one, _ONE_THREAD: thread, _ONE_PADDED: padded, _OURS: ours, _INT8: int8}
        turns: dict[str, list[_Turn]] = {name: [] for name in ways}
        for way in ways.values():
            way(sources[0])  # the model is loaded now
        for source in sources[1:]:
            for name, way in ways.items():
                before = tree_cpu_seconds(os.getpid())
                seconds = way(source)
                turns[name].append(_Turn(seconds, tree_cpu_seconds(os.getpid()) - before))
    agreed = _agreement(setup.folder / "fp32", setup.folder / "int8")
    return _result(turns, rows, agreed)


def _result(turns: dict[str, list[_Turn]], rows: int, agreed: float) -> Result:
    def times(name: str, other: str) -> float:
        pairs = zip(turns[name], turns[other], strict=True)
        return statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs)

    lines = [
        [
            name,
            f"{1000 * statistics.median(turn.cpu for turn in found) / rows:.0f}",
            *(f"{times(name, other):.2f}×" for other in (_ONE, _ONE_THREAD, _ONE_PADDED)),
            f"{rows / statistics.median(turn.seconds for turn in found):.1f}",
            f"{100 * agreed:.1f} %" if name == _INT8 else "–",
        ]
        for name, found in turns.items()
    ]
    columns = ["way", "CPU ms a row", "to one row", "with one thread", "padded"]
    columns += ["rows/s, median", "same as fp32"]
    figures = {
        "to one row": times(_OURS, _ONE),
        "to one row, one thread": times(_OURS, _ONE_THREAD),
        "to one padded row": times(_OURS, _ONE_PADDED),
        "int8 to one row": times(_INT8, _ONE),
        "int8 agreement": agreed,
    }
    return Result([Table("", columns, lines)], figures)


@contextmanager
def _baseline(
    model: Path, tokenizer: Path, *, threads: int = 0, length: int = 0
) -> Iterator[Callable[[Path], float]]:
    command = [sys.executable, "-m", "bench.one_row_at_a_time"]
    command += [str(model), str(tokenizer), str(threads), str(length)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin  # noqa: S101
        assert process.stdout  # noqa: S101
        process.stdout.readline()

        def run(source: Path) -> float:
            print(source, file=process.stdin, flush=True)
            assert process.stdout  # noqa: S101
            return float(process.stdout.readline())

        yield run
        process.stdin.close()


@contextmanager
def _answers(folder: Path, model: Path, tokenizer: Path) -> Iterator[Callable[[Path], float]]:
    folder.mkdir()
    environment = Environment(files={"model": model, "tokenizer": tokenizer})
    pool = Pool("answers", "{}", _LIMITS, folder, 1, environment=environment, is_model=True)

    def run(source: Path) -> float:
        given = folder / "given"
        given.write_bytes(source.read_bytes())
        started = time.perf_counter()
        made = pool.run([given], [source.name])
        taken = time.perf_counter() - started
        made.files[0][0].rename(folder / source.name)
        return taken

    yield run
    pool.close()


def _agreement(one: Path, other: Path) -> float:
    """Return the part of rows that have the same answers in the files of two folders."""
    found = {folder: list(_spans(folder)) for folder in (one, other)}
    pairs = list(zip(found[one], found[other], strict=True))
    return sum(a == b for a, b in pairs) / len(pairs)


def _spans(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["start"], row["end"]
