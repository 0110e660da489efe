"""This revision's worker against another's: `./pipeline bench compare REV`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from bench.benchmark import Result, Setup
from bench.photos import SIZES, SMALL, PhotoSet
from bench.revision import checkout
from bench.revision_pipeline import RevisionPipeline
from bench.spread import least_to_largest
from bench.table import Table
from bench.testbed import Testbed

TITLE = "This revision against another"
TEXT = """HEAD and the other revision, each from its own checkout with its own locked packages, take
turns on one computer, with one `rclone serve s3` and one PostgreSQL (each revision with its own
buckets and database there); who is first changes with each turn. A turn is one pass, `python -m
worker drain`, its start included, over photographs of 2 MP (JPEG, quality 90) and one over
small ones of 256 × 192 pixels (≤ 20 KB), the same bytes for both, in versionless buckets. CPU
(user + system) is of the worker's processes, peak memory the largest sum of PSS over them, five
times a second. Ratios are of one turn, so slow moments of the machine cancel: below 1, HEAD takes
less. The median, the least and the largest are given."""

_Uploads = Callable[[int], tuple[str, bytes]]


def measure(setup: Setup) -> Result:
    """Alternate passes of HEAD and of `setup.revision`.

    Returns:
        What each used, and the ratios.

    Raises:
        RevisionUnusable: A revision cannot be built, or cannot run a pass.
    """  # noqa: DOC502  raised by what it calls
    turns, photos, objects = (2, 100, 400) if setup.quick else (3, 2000, 10_000)
    photo_set = PhotoSet(setup.photos)
    passes = {
        "2 MP photo": (photos, photo_set.uploads(SIZES["P2"])),
        "small object": (objects, photo_set.uploads(SMALL)),
    }
    with ExitStack() as stack:
        # HEAD has a checkout as well, so that both run alike.
        revisions = [
            stack.enter_context(checkout(name, setup.folder / f"revision-{number}"))
            for number, name in enumerate(("HEAD", setup.revision))
        ]
        testbed = stack.enter_context(Testbed(setup.folder / "testbed", setup.source))
        sides: list[RevisionPipeline] = []
        for revision in revisions:
            folder = setup.folder / f"worker-{len(sides)}"
            side = RevisionPipeline(folder, revision, testbed.store, testbed.database)
            sides.append(stack.enter_context(side))
            side.migrate()
            testbed.pipeline = side
            testbed.fill(1, passes["2 MP photo"][1])
            side.try_pass()
        found = [_turn(testbed, sides, passes, turn % 2) for turn in range(turns)]
    head, other = (f"{each.name} ({each.commit})" for each in revisions)
    return _result(found, head, other, f"{turns} turns of {photos:,} photos, {objects:,} objects.")


def _turn(
    testbed: Testbed,
    sides: Sequence[RevisionPipeline],
    passes: Mapping[str, tuple[int, _Uploads]],
    first: int,
) -> list[dict[str, float]]:
    """Run the passes of both sides, `sides[first]` first; return what each side used."""
    used: list[dict[str, float]] = [{}, {}]
    for name, (count, uploads) in passes.items():
        for side in (first, 1 - first):
            testbed.pipeline = sides[side]
            testbed.fill(count, uploads)
            usage = testbed.drain()
            used[side] |= {
                f"CPU for each {name}, ms": 1000 * usage.cpu / count,
                f"{name}s: peak memory of a pass, MB": usage.peak / 1e6,
                f"{name}s: wall of a pass, s": usage.seconds,
            }
    return used


def _result(
    found: Sequence[Sequence[Mapping[str, float]]], head: str, other: str, note: str
) -> Result:
    lines, figures = [], {}
    for what in found[0][0]:
        ours, theirs = ([turn[side][what] for turn in found] for side in (0, 1))
        ratios = [mine / its for mine, its in zip(ours, theirs, strict=True)]
        lines.append(
            [
                *(what, f"{median(ours):.2f}", f"{median(theirs):.2f}"),
                *(f"{median(ratios):.3f}", least_to_largest(ratios, 3)),
            ]
        )
        figures[f"{what}: ratio"] = median(ratios)
    columns = ["what", head, other, "ratio", "spread"]
    return Result([Table("", columns, lines)], figures, notes=[note])
