"""Measure parts, print what comes out, and write it into docs/measurements.md."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench import host, parts, scratch, targets
from bench.document import Document
from bench.draw import draw
from bench.part import Part, Request, Result
from bench.pictures import PACKAGED, ROOT, SAMPLES
from bench.table import Table
from cli.terminal import print_progress
from worker.transforms.negate import build, kernels

DOCUMENT = ROOT / "docs" / "measurements.md"


def run(names: Sequence[str], *, quick: bool, photos: Path | None, machine: str) -> None:
    """Measure the named parts, or the usual ones; quick ones leave the document as it is."""
    photos = photos or (PACKAGED if PACKAGED.is_dir() else SAMPLES)
    names = names or (parts.QUICK if quick else parts.USUAL)
    document, measured = Document(DOCUMENT), {}
    print(f"{host.describe()}.")
    with scratch.folder() as place:
        source = _source(place)
        for name in names:
            print_progress(f"Measuring {name} …")
            part, before = parts.load(name), host.load()
            folder = place / name
            folder.mkdir()
            result = part.measure(Request(folder, source, photos, quick, machine))
            load = f"load {before:.1f} before, {host.load():.1f} after"
            drawn = [draw(plot, folder if quick else document.folder) for plot in result.plots]
            shutil.rmtree(folder)
            _print(part, result, load)
            measured[name] = dict(result.figures)
            if not quick:
                document.remember(name, result.figures)
                command = f"./pipeline bench {name}" + (
                    "" if photos == PACKAGED else " --photos FOLDER"
                )
                document.write(name, _section(part, result, drawn, load, command))
    if not quick:
        table = targets.judge(document.figures())
        document.write("targets", table.markdown())
        print(f"\n{table.text()}")


def _source(place: Path) -> Path:
    """The worker's code with its kernels, for processes of their own and for this one."""
    source = place / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "worker", source / "worker", ignore=ignored)
    try:
        made = build.build(source / "worker" / "transforms" / "negate")
    except OSError as error:
        print_progress(f"The fast transforms were not built, so what is measured is slow: {error}.")
    else:
        kernels.library = kernels.load(made.parent)
    return source


def _print(part: Part, result: Result, load: str) -> None:
    print(f"\n{part.TITLE} ({load})")
    for table in (*result.tables, *result.details):
        print(f"\n{table.text()}")
    for note in result.notes:
        print(note)


def _section(part: Part, result: Result, drawn: Sequence[Path], load: str, command: str) -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    blocks = [
        f"## {part.TITLE}",
        part.TEXT,
        *(f"![{path.stem}]({path.name})" for path in drawn),
        *(table.markdown().strip() for table in result.tables),
        *_folded(result.details),
        *result.notes,
        f"{host.describe()}; {load}; commit {answer.stdout.strip() or 'unknown'}.",
        f"    {command}",
    ]
    return "\n\n".join(blocks)


def _folded(tables: Sequence[Table]) -> list[str]:
    """As GitHub folds them; the blank lines between make it render them."""
    if not tables:
        return []
    inside = (table.markdown().strip() for table in tables)
    return ["<details><summary>In full</summary>", *inside, "</details>"]
