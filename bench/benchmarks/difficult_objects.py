"""What objects that other programs refuse to read cost the objects beside them."""

from statistics import median

from bench.benchmark import Result, Setup
from bench.photos import PhotoSet
from bench.table import Table
from bench.testbed import Testbed

TITLE = "Difficult objects beside good ones"
TEXT = """One pass over 1,000 photographs (256 × 192, as above), without and with 60 further ones
that have 90 headers of metadata each and come first in the listing: HTTP clients, Python's among
them, refuse a response of more than 100 headers. All photographs are done in both passes."""

_HEADERS, _DIFFICULT = 90, 60
_SIZE = (256, 192)
_TURNS = 3


def measure(setup: Setup) -> Result:
    """Measure passes with and without difficult objects in turns."""
    count, turns = (10, 1) if setup.quick else (1000, _TURNS)
    uploads = PhotoSet(setup.photos).uploads(_SIZE)
    metadata = {f"f{number:02}": "v" for number in range(_HEADERS)}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:

        def drained(difficult: int) -> float:
            testbed.fill(count, uploads)
            pipeline = testbed.pipeline
            for number in range(difficult):
                key, content = uploads(count + number)
                pipeline.s3.put_object(
                    Bucket=pipeline.input, Key=f"0-{key}", Body=content, Metadata=metadata
                )
            seconds = testbed.drain().seconds
            made = len(pipeline.keys(pipeline.output))
            if made < count:
                raise RuntimeError(f"{made} results of {count} good photographs")
            return seconds

        found = [(drained(0), drained(_DIFFICULT)) for _ in range(turns)]
    good, mixed = (median(each) for each in zip(*found, strict=True))
    ratio = median(above / below for below, above in found)
    rows = [
        [f"{count:,}", f"{good:.1f}", ""],
        [f"{count:,} and {_DIFFICULT} difficult ones", f"{mixed:.1f}", f"{ratio:.2f}"],
    ]
    table = Table("", ["objects", "seconds", "times"], rows)
    return Result([table], {"times": ratio})
