"""Machines that work together while users act, for tests that let them fail in real time.

The machines that are left do everything by themselves: the clean passes afterwards find nothing to
do.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.fleet import Fleet
from tests.eventually import eventually
from tests.faults.chain import BROKEN, FIRST, THIRD, Chain
from tests.worker.pictures import encode, picture

ONE, TWO, THREE = MACHINES = ("vm-1", "vm-2", "vm-3")
PAUSE = 5  # seconds between starts of a worker, each of which costs half a second of CPU
_DONE = """
SELECT
    (SELECT count(*) FROM pipeline.results WHERE pipeline = %(third)s) = (
        SELECT count(*) FROM (
            SELECT FROM pipeline.results WHERE outcome = 'done' AND pipeline <> %(third)s
            GROUP BY run_id HAVING count(*) = 3
        ) AS ended
    ) AS is_gathered
"""


@contextmanager
def uploading(chain: Chain, every: float) -> Iterator[None]:
    """Let users act until the context ends: upload, replace, upload bad files and delete."""
    ended = threading.Event()

    def act() -> None:
        number = 0
        while not ended.wait(every):
            number += 1
            content = BROKEN if number % 5 == 0 else encode(picture(number), "PNG")
            chain.put(FIRST, f"{number % 40}.png", content)
            if number % 7 == 0 and chain.pipeline.versions:
                chain.delete(FIRST, f"{(number - 3) % 40}.png")

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def work_of(chain: Chain, machines: Sequence[str]) -> int:
    """Return how many rows machines have written."""
    query = "SELECT count(*) FROM pipeline.results WHERE worker = any(%s)"
    return int(chain.pipeline.sql(query, list(machines))[0]["count"])


def all_work(chain: Chain, *machines: str) -> None:
    """Wait until each of the machines has written another row."""
    before = {one: work_of(chain, [one]) for one in machines}
    eventually(
        lambda: all(work_of(chain, [one]) > count for one, count in before.items()),
        seconds=120,
        what=f"all of {machines} work",
        every=2,
    )


def finish(chain: Chain, fleet: Fleet, names: Sequence[str]) -> None:
    """Wait until the fleet has done everything, and check it before and after clean passes."""

    def is_done() -> bool:
        (row,) = chain.pipeline.sql(_DONE.replace("%(third)s", f"'{THIRD}'"))
        is_gathered = THIRD not in names or row["is_gathered"]
        return is_gathered and not any(map(chain.left, names))

    eventually(is_done, seconds=180, every=1)
    fleet.stop()
    assert not fleet.tracebacks
    count = work_of(chain, MACHINES)
    chain.finish()
    if THIRD in names:
        assert work_of(chain, MACHINES) == count
