"""The spool: what it has taken is there after a kill, whole; its sizes are bounded."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import SpoolBusy, SpoolFull, SpoolUnusable
from edge.spool import Key, Minute, Spool
from tests.checkout import PROJECT

# Puts pictures until it is killed, and prints each one that the spool has taken.
WRITER = """
import hashlib, random, sys
from pathlib import Path
from edge.spool import Key, Spool
spool = Spool(Path(sys.argv[1]), 10**9, 0)
number = max((key.number for key, _ in spool.pending()), default=0)
while True:
    number += 1
    picture = random.randbytes(random.randrange(1, 200_000))
    spool.put(Key("boot", number), picture)
    print(number, hashlib.sha256(picture).hexdigest(), flush=True)
"""


def opened(folder: Path, max_bytes: int = 1000, max_refused: int = 1000) -> Spool:
    return Spool(folder / "spool", max_bytes, max_refused)


def test_pictures_outlive_the_process(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.put(Key("b", 2), b"two")
    spool.put(Key("a", 10), b"ten")
    spool.put(Key("a", 9), b"nine")
    spool.put_minute(Minute("a", "2026-11-28T12:00Z"), b"{}")
    spool.close()
    again = opened(tmp_path)
    assert again.pending() == [(Key("a", 9), 4), (Key("a", 10), 3), (Key("b", 2), 3)]
    assert again.read(Key("b", 2)) == b"two"
    assert again.minutes() == [(Minute("a", "2026-11-28T12:00Z"), b"{}")]
    assert again.size == 10
    again.remove(Key("a", 9))
    again.remove_minute(Minute("a", "2026-11-28T12:00Z"))
    assert (len(again), again.size, again.minutes()) == (2, 6, [])


def test_a_killed_writer_leaves_whole_pictures_and_all_it_has_taken(tmp_path: Path) -> None:
    taken: dict[int, str] = {}
    for turn in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "spool")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(1 + turn % 2)]
        time.sleep(random.Random(turn).uniform(0, 0.1))  # noqa: S311
        child.send_signal(signal.SIGKILL)
        lines += child.communicate()[0].splitlines()
        for line in lines:
            number, _, digest = line.strip().partition(" ")
            if len(digest) == 64:
                taken[int(number)] = digest
        spool = Spool(tmp_path / "spool", 10**9, 0)
        found = {key.number: spool.read(key) for key, _ in spool.pending()}
        spool.close()
        hashes = {n: hashlib.sha256(one or b"").hexdigest() for n, one in found.items()}
        assert taken.items() <= hashes.items()
        assert len(found) - len(taken) <= turn + 1  # stored, and killed before it was printed
        assert not list((tmp_path / "spool").rglob("*partial"))
    assert len(taken) > 6


def test_a_full_spool_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.put(Key("a", 1), bytes(600))
    with pytest.raises(SpoolFull, match="is full"):
        spool.put(Key("a", 2), bytes(600))
    assert len(spool) == 1
    spool.remove(Key("a", 1))
    spool.put(Key("a", 2), bytes(600))


def test_a_full_disk_is_a_full_spool(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edge.spool import *\n"
        "spool = Spool(Path(sys.argv[1]), 10**9, 0)\n"
        "try:\n"
        "    for number in range(100): spool.put(Key('a', number), bytes(300_000))\n"
        "except SpoolFull as full: print(full)\n"
        "print(len(spool), len(list(Path(sys.argv[1], 'pending').iterdir())))\n"
        "spool.remove(Key('a', 0)); spool.put(Key('a', 200), bytes(300_000)); print('goes on')\n"
    )
    mounted = f'mount -t tmpfs -o size=2m tmpfs {tmp_path} && exec {sys.executable} -c "$0" $1'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted, code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if "unshare" in done.stderr or not shutil.which("unshare"):
        pytest.skip("no mount namespaces for this user")
    full, counts, last = done.stdout.splitlines()
    assert full == f"The disk of the spool {tmp_path} is full"
    assert len(set(counts.split())) == 1  # nothing partial is left
    assert last == "goes on"


def test_refused_pictures_are_kept_with_the_reason_and_bounded(tmp_path: Path) -> None:
    spool = opened(tmp_path, max_refused=1000)
    for number in range(1, 6):
        spool.put(Key("a", number), bytes(300))
        spool.refuse(Key("a", number), "It is larger than 16 MiB.")
    kept = sorted(path.name for path in (tmp_path / "spool/refused").iterdir())
    assert "a.0000000005" in kept
    assert "a.0000000001" not in kept
    assert sum(path.stat().st_size for path in (tmp_path / "spool/refused").iterdir()) <= 1000
    reason = tmp_path / "spool/refused/a.0000000005.txt"
    assert reason.read_text() == "It is larger than 16 MiB.\n"
    assert (len(spool), spool.size) == (0, 0)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(SpoolBusy, match="Another process uses the spool"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(SpoolUnusable, match="set spool"):
        opened(tmp_path)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    opened(tmp_path)
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "use",
    [
        lambda spool: spool.put(Key("b", 2), b"two"),
        lambda spool: spool.remove(Key("b", 1)),
        lambda spool: spool.refuse(Key("b", 1), "never"),
        lambda spool: spool.minutes(),
        lambda spool: spool.remove_minute(Minute("b", "2026-11-28T12:00Z")),
    ],
)
def test_a_disk_that_fails_later_is_one_sentence(
    tmp_path: Path, use: Callable[[Spool], object]
) -> None:
    spool = opened(tmp_path)
    spool.put(Key("b", 1), b"one")
    for name in ("pending", "refused", "minutes"):  # as after a fault of the file system
        shutil.rmtree(tmp_path / "spool" / name)
        (tmp_path / "spool" / name).touch()
    assert not spool.put_minute(Minute("b", "2026-11-28T12:00Z"), b"{}")
    with pytest.raises(SpoolUnusable, match="cannot be used"):
        use(spool)
