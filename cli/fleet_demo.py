"""`demo --machines N`: photos for several machines, and how many each of them did."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from cli.errors import CommandError
from cli.results import Row
from cli.terminal import print_result, print_table
from cli.uploads import Photo, sample_photos

#: More than the machines' threads hold at once: a machine that starts late still gets some.
_PHOTOS_PER_MACHINE = 24


def more_photos(machines: int) -> list[Photo]:
    """Return copies of the samples, each below a folder of its own, enough for all machines."""
    samples = sample_photos()
    copies = -(-_PHOTOS_PER_MACHINE * machines // len(samples))
    return [
        Photo(photo.path, f"copy-{number}/{PurePosixPath(photo.key).name}")
        for number in range(1, copies + 1)
        for photo in samples
    ]


def print_shares(names: Sequence[str], rows: Iterable[Row]) -> None:
    """Print how many files each machine did.

    Args:
        names: The machines' names.
        rows: The ledger's rows of all files.

    Raises:
        CommandError: One of the machines did nothing.
    """
    shares = Counter(str(row["worker"]) for row in rows)
    print_result()
    print_table(((name, str(shares[name])) for name in names), ["machine", "photos"], right={1})
    if idle := [name for name in names if not shares[name]]:
        raise CommandError(f"Machines that did nothing: {', '.join(idle)}.")
