"""What `./pipeline bench profile` samples, and the steps that it assigns."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench import cpu_sampler, stacks
from bench.stacks import Frame
from bench.steps import OTHER, START, STEPS, step_of

BUSY = """
import subprocess, sys, threading, time

def burn(seconds=0.2):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

def burn_in_child():
    burn()

if sys.argv[1:] == ["child"]:
    burn_in_child()
else:
    threads = [threading.Thread(target=burn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subprocess.run([sys.executable, __file__, "child"], check=True)
"""


def test_threads_and_children_are_sampled(tmp_path: Path) -> None:
    shutil.copy(cpu_sampler.__file__, tmp_path / "sitecustomize.py")
    samples = tmp_path / cpu_sampler.FOLDER
    samples.mkdir()
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    # Python ends its handler before the process: a later signal would kill it.
    subprocess.run([sys.executable, str(program)], env=environment, check=True)
    found = stacks.read(samples, tmp_path)
    assert len(list(samples.iterdir())) == 2
    assert found.start > 0
    burning = [stack for stack in found.stacks if stack and stack[0].function == "burn"]
    assert {stack[0].module for stack in burning} == {"busy"}
    assert any(frame.function == "run" for stack in burning for frame in stack)  # a thread's
    assert any(frame.function == "burn_in_child" for stack in burning for frame in stack)
    assert "thread_time()" in burning[0][0].text or burning[0][0].text == "pass"


@pytest.mark.parametrize(
    "place", [place for places in STEPS.values() for place in places], ids=lambda place: place
)
def test_places_exist(place: str) -> None:
    module, _, rest = place.partition(":")
    function, _, text = rest.partition(":")
    source = inspect.getsource(import_module(module))
    assert not function or re.search(rf"\bdef {function}\(", source)
    assert text in source


def frame(place: str, text: str = "") -> Frame:
    module, _, function = place.partition(":")
    return Frame(module, function, text)


@pytest.mark.parametrize(
    ("frames", "step"),
    [
        # Innermost first.
        ([frame("worker.store.connection:send"), frame("worker.store.s3_store:put")], "send"),
        ([frame("worker.store.client:call"), frame("worker.jobs.deletion:f")], "delete"),
        ([frame("worker.ledger.postgres_ledger:f"), frame("worker.jobs.batch:run")], "record"),
        ([frame("worker.jobs.processor:delete")], "delete"),
        ([frame("worker.jobs.processor:process")], "schedule and wait"),
        ([frame("worker.ledgers:f")], OTHER),  # not inside worker.ledger
        ([frame("worker.store.s3_store:take", "sha256.update(piece)")], "hash the upload"),
        ([frame("worker.transforms.negate:<module>"), frame("importlib._bootstrap:f")], START),
        ([], OTHER),
    ],
)
def test_the_innermost_place_decides(frames: list[Frame], step: str) -> None:
    assert step_of(frames).startswith(step)
