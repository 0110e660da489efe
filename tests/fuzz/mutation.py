"""Mutate files and transcode them in this process."""

import random
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.fuzz import seeds
from worker.errors import InvalidInput
from worker.transforms import negate

PIXELS = 1_000_000
MAX_SECONDS = 2.0  # of CPU time of the calling thread for one file
LEAST = 100  # files of each outcome, however slow the computer is


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Return data with a few bytes changed, moved or lost."""
    result = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(result))
        kind = dice.randrange(8)
        if kind <= 2:
            result[at] ^= 1 << dice.randrange(8)
        elif kind <= 5:
            result[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        elif kind == 6:
            start = dice.randrange(len(result))
            result[at:at] = result[start : start + dice.randrange(40)]
        elif not dice.randrange(3):
            del result[at + 1 :]
    return bytes(result)


def fix_crcs(data: bytes) -> bytes:
    """Return a PNG with correct CRCs, so that mutations reach the code after their check."""
    result, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        if at + 12 + length > len(data):
            break
        result.append(seeds.chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join(result) + data[at:]


def run(seconds: float, seed: int) -> dict[str, int]:
    """Fuzz for a while and count the outcomes.

    Args:
        seconds: How long at least; ten times as long at most.
        seed: Of the random numbers.

    Returns:
        How many files were taken and how many refused.

    Raises:
        AssertionError: A file caused another error than InvalidInput, or took too long.
    """
    dice = random.Random(seed)  # noqa: S311
    known = [("jpg", data) for data in seeds.jpegs().values()]
    known += [("png", data) for data in seeds.pngs().values()]
    known += [("gif", data) for data in seeds.gifs().values()]
    known += [("tif", data) for data in seeds.tiffs().values()]
    known += [("raster", data) for data in seeds.rasters().values()]
    counts = {"taken": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        start = time.monotonic()
        while (spent := time.monotonic() - start) < seconds or (
            spent < 10 * seconds and min(counts.values()) < LEAST
        ):
            kind, data = dice.choice(known)
            mutated = mutate(data, dice)
            if kind == "png" and dice.randrange(4):
                mutated = fix_crcs(mutated)
            source.write_bytes(mutated)
            # Not process_time: threads of other tests in this process use CPU time too.
            begun = time.thread_time()
            try:
                negate.negate_file(source, target, PIXELS)
                counts["taken"] += 1
            except InvalidInput:
                counts["refused"] += 1
            except Exception as error:
                raise AssertionError(f"{error!r} for {kind} {mutated.hex()}") from error
            if time.thread_time() - begun >= MAX_SECONDS:
                # Once more: the host may have paused this machine, which the kernel counts too.
                begun = time.thread_time()
                with suppress(InvalidInput):
                    negate.negate_file(source, target, PIXELS)
                assert time.thread_time() - begun < MAX_SECONDS, f"slow: {kind} {mutated.hex()}"
    return counts
