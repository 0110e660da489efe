"""Uploads that come while others are processed: nobody waits for another's file."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.worker.world import GOOD, Transforms, World, failing
from worker.errors import TransformCrashed, UploadDeferred
from worker.ledger.memory_ledger import MemoryLedger
from worker.load import Load

MOST = 20_000  # uploads of a stream that does not end by itself


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.schedule = replace(made.schedule, retry=(0.01, 0.05), heartbeat=0.02)
    return made


class Stream:
    """Uploads one after another, each as soon as the last one is processed, until it is ended."""

    def __init__(self, world: World, until: Callable[[], bool]) -> None:
        self._world, self._until, self._number = world, until, 0
        self.is_ended = False

    def __call__(self) -> None:
        self.is_ended = self._until()
        if not self.is_ended and self._number < MOST:
            self._number += 1
            self._world.upload(f"stream {self._number}.png", b"stream")


def test_new_uploads_do_not_wait_for_a_slow_file(world: World) -> None:
    def slow() -> None:
        world.upload("new.png")
        eventually(lambda: "new.png" in world.outcomes())

    world.transforms = Transforms({b"slow": slow})
    world.upload("slow.png", b"slow")
    world.run()
    assert world.outcomes() == {"new.png": "done", "slow.png": "done"}


def test_a_failed_upload_is_retried_while_others_come(world: World) -> None:
    failures = iter([UploadDeferred("not yet"), UploadDeferred("still not")])

    def later() -> None:
        for error in failures:
            raise error

    stream = Stream(world, lambda: "later.png" in world.outcomes())
    world.transforms = Transforms({b"later": later, b"stream": stream})
    world.upload("later.png", b"later")
    world.upload("first.png", b"stream")
    world.run_until(lambda: stream.is_ended and not world.left())
    assert stream.is_ended
    assert world.left() == []
    assert world.ledger.unfinished_attempts("input") == {}


def test_the_heartbeat_tells_what_is_wrong_now(world: World) -> None:
    """Also under a steady stream, and no longer once it is mended."""
    problems: list[str | None] = []

    class Watched(MemoryLedger):
        def heartbeat(
            self, problem: str | None, load: Load | None = None, *, is_live: bool = False
        ) -> None:
            problems.append(problem)
            super().heartbeat(problem, load, is_live=is_live)

    def fail_until(mended: Callable[[], bool]) -> Callable[[], None]:
        def act() -> None:
            if not mended():
                raise UploadDeferred("not yet")

        return act

    first, second = "'1.png' is deferred: not yet.", "'2.png' is deferred: not yet."
    stream = Stream(world, lambda: len(problems) > 2 and problems[-1] is None)
    world.transforms = Transforms(
        {
            b"1": fail_until(lambda: first in problems),
            b"2": fail_until(lambda: second in problems),
            b"stream": stream,
        }
    )
    world.upload("1.png", b"1")
    world.upload("2.png", b"2")
    world.upload("first.png", b"stream")
    ledger = Watched("vm-1", "negatives", world.tables)
    world.run_until(lambda: stream.is_ended and not world.left(), 4, ledger)
    assert stream.is_ended
    assert {first, second, None} <= set(problems)


def test_failed_uploads_do_not_delay_others(world: World) -> None:
    """A download that hangs again and again takes half of the threads at most."""
    tried: set[str] = set()
    hanging, released = threading.Semaphore(0), threading.Event()

    def hang_at_the_second_try(name: str) -> Callable[[], None]:
        def act() -> None:
            if name not in tried:
                tried.add(name)
                raise UploadDeferred("not yet")
            hanging.release()
            assert released.wait(60 * patience())

        return act

    def last() -> None:
        released.set()

    def stream() -> None:
        for _ in range(2):
            assert hanging.acquire(timeout=60 * patience())
        for number in range(50):
            world.upload(f"{number}.png")
        world.upload("last.png", b"last")

    names = [f"hangs {number}" for number in range(8)]
    special = {name.encode(): hang_at_the_second_try(name) for name in names}
    world.transforms = Transforms(special | {b"last": last, b"stream": stream})
    for name in names:
        world.upload(f"{name}.png", name.encode())
    world.upload("zz.png", b"stream")
    count = len(names) + 52
    world.run_until(lambda: len(world.outcomes()) == count and not world.left(), threads=4)
    assert len(world.outcomes()) == count
    assert world.left() == []


def test_suspects_run_alone_under_a_stream(world: World) -> None:
    """Nothing else is started for long before one has run."""
    world.schedule = replace(world.schedule, patience=0.05)
    running, beside = threading.Lock(), []
    crashes = iter([TransformCrashed("signal 9")])

    def suspect() -> None:
        for error in crashes:
            raise error
        beside.append(running.locked())

    stream = Stream(world, lambda: "x.png" in world.outcomes())

    def streamed() -> None:
        with running:
            stream()

    world.transforms = Transforms({b"crash": suspect, b"stream": streamed})
    world.upload("x.png", b"crash")
    world.upload("first.png", b"stream")
    world.run(threads=2)
    assert stream.is_ended
    assert beside == [False]


def test_a_problem_ends_with_its_upload(world: World) -> None:
    """The user deletes what cannot be processed; the pass then has not failed."""
    world.transforms = Transforms({b"never": failing(UploadDeferred("not here"))})
    world.upload("never.png", b"never")
    is_over, beats = threading.Event(), world.tables.heartbeats
    thread = threading.Thread(target=world.run_until, args=[is_over.is_set])
    thread.start()
    try:
        eventually(lambda: "not here" in str(list(beats.values())))
        world.store.delete("input", "never.png")
        eventually(lambda: not (world.left() or world.tables.attempts))
        eventually(lambda: [problem for _, problem in list(beats.values())] == [None])
    finally:
        is_over.set()
        thread.join()


LOCKED = """
import os, signal, threading
from worker.jobs.signals import on_signal

lock, stopped = threading.Lock(), threading.Event()

def stop():
    with lock:
        stopped.set()

on_signal(stop)
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100_000):
        pass
assert stopped.wait(60)
print("stopped")
"""


def test_a_signal_does_not_wait_for_a_lock_of_the_main_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKED],
        capture_output=True,
        text=True,
        timeout=300 * patience(),
        check=False,
    )
    assert (done.stdout, done.stderr) == ("stopped\n", "")


def test_good_uploads_are_done_beside_one_that_always_fails(world: World) -> None:
    world.transforms = Transforms({b"never": failing(UploadDeferred("not here"))})
    world.upload("a.png", b"never")
    for number in range(30):
        world.upload(f"{number}.png", GOOD)
    assert world.run_failing(linger=0.1) == "'a.png' is deferred: not here."
    assert len(world.outcomes()) == 30
    assert world.left() == ["a.png"]
