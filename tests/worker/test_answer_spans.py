"""The search for the best span, and the windows of a context, against slow and simple programs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.worker.answerer import Answerer, make_answerer, write_rule_model
from tests.worker.pipeline import ROOT

#: Compares `best_span` with every span of random logits.
ORACLE = """
import itertools, random
import numpy as np
from worker.transforms.answers.spans import best_span

dice = random.Random(1)
for _ in range(400):
    before, length, after = dice.randint(1, 5), dice.randint(1, 40), dice.randint(0, 3)
    most = dice.choice([1, 2, 3, 10, 60])
    # Few values: many spans are equally likely.
    start, end = (
        np.array([dice.choice([-3.0, 0.5, 1.25, 4.0]) for _ in range(before + length + after)],
                 np.float32)
        for _ in "se"
    )
    inside = [0, *range(before, before + length)]
    sums = [sum(np.exp(float(logits[one])) for one in inside) for logits in (start, end)]

    def probability(first, last):
        likely = np.exp(float(start[first])) * np.exp(float(end[last]))
        return likely / sums[0] / sums[1]

    every = [
        (-round(probability(before + first, before + last), 9), first, last)
        for first, last in itertools.product(range(length), repeat=2)
        if first <= last < first + most
    ]
    score, first, last = min(every)
    found = best_span(start, end, slice(before, before + length), most)
    assert (found.first, found.last) == (first, last), (found, min(every))
    assert abs(found.score + score) < 1e-6
    assert abs(found.null - probability(0, 0)) < 1e-6
print("400 compared")
"""
#: Reads texts in windows with two tokenizers, and checks that no token is lost or misplaced.
WINDOWS = """
import json, random, sys
from pathlib import Path
from worker.transforms.answers.windows import Encoder

bert = json.loads(Path(sys.argv[1]).read_text())
names = ("[CLS]", "[SEP]")
special = {name: {"id": name, "ids": [at], "tokens": [name]} for at, name in enumerate(names, 2)}
template = [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("[SEP]", 0), ("B", 0), ("[SEP]", 0)]
pair = [
    {"Sequence" if name in "AB" else "SpecialToken": {"id": name, "type_id": kind}}
    for name, kind in template
]
roberta = bert | {"post_processor": bert["post_processor"] | {"pair": pair}}
dice = random.Random(1)
for tokenizer, between in ((bert, 2), (roberta, 3)):
    Path("tokenizer.json").write_text(json.dumps(tokenizer))
    for _ in range(60):
        longest = dice.randint(64, 90)
        stride = dice.randint(0, longest // 2)
        encoder = Encoder(Path("tokenizer.json"), longest, stride)
        question = " ".join(["name"] * dice.randint(1, 20))
        words = [dice.choice(["a", "bé", "city", "ccc"]) for _ in range(dice.randint(1, 300))]
        context, expected, at = " ".join(words), [], 0
        for word in words:
            expected.append((at, at + len(word)))
            at += len(word) + 1
        found = []
        for number, window in enumerate(encoder.encode(question, context).windows):
            assert len(window.ids) <= longest
            asked = list(window.ids[1 : 1 + len(question.split())])
            assert asked == [6] * len(asked)
            assert window.context.start == len(asked) + between, (window.context, between)
            offsets = [tuple(one) for one in window.offsets.tolist()]
            assert len(offsets) == window.context.stop - window.context.start
            if number:
                assert offsets[:stride] == found[len(found) - stride :], (number, stride)
            found += offsets[stride if number else 0 :]
        assert found == expected
print("read")
"""


@pytest.fixture(scope="module")
def answer(moto: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answerer]:
    made = make_answerer(tmp_path_factory.mktemp("answers"), moto)
    yield made
    made.close()


def run_inside(answer: Answerer, program: str, folder: Path, *arguments: object) -> str:
    """Run a program with the transform's packages; return what it prints."""
    done = subprocess.run(
        [answer.environment.python, "-P", "-c", program, *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_the_best_span_is_the_best_of_all(answer: Answerer, tmp_path: Path) -> None:
    assert run_inside(answer, ORACLE, tmp_path) == "400 compared"


def test_windows_lose_no_token(answer: Answerer, tmp_path: Path) -> None:
    write_rule_model(tmp_path / "model")
    assert run_inside(answer, WINDOWS, tmp_path, tmp_path / "model/tokenizer.json") == "read"
