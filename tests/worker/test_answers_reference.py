"""`answers` against the pipeline of `transformers`: 100 questions, a real model from the hub."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.worker.prepared import prepared
from worker.sandbox.pool import Pool
from worker.settings import Limits, Pipeline

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
#: The same model: as ONNX, and as its authors have published it.
ONNX, ORIGINAL = (
    "Xenova/distilbert-base-cased-distilled-squad",
    "distilbert/distilbert-base-cased-distilled-squad",
)
#: The last that has the pipeline, and where its torch is without CUDA.
PACKAGES = ["transformers==4.57.1", "torch==2.9.1"]
TORCH = "https://download.pytorch.org/whl/cpu"
PLACES = ["Turku", "Porto Alegre", "Kyoto", "Zürich", "Cusco"]
NAMES = ["Alice Smith", "José Álvarez", "Mei Chen", "Olu Adeyemi"]
REFERENCE = """
import json, sys
from transformers import pipeline
model, rows = sys.argv[1], json.load(sys.stdin)
ask = pipeline("question-answering", model=model, revision=sys.argv[2], device="cpu")
found = [
    ask(question=question, context=context, align_to_words=False, max_seq_len=384, doc_stride=128,
        max_answer_len=30, handle_impossible_answer=True)
    for question, context in rows
]
print(json.dumps([[one["answer"], one["score"], one["start"], one["end"]] for one in found]))
"""


def get(path: str, seconds: float = 60) -> HTTPResponse:
    response: HTTPResponse = urlopen(f"{HUB}/{path}", timeout=seconds)  # noqa: S310
    return response


def is_reachable() -> bool:
    for _ in range(3):
        try:
            with get(f"api/models/{ONNX}", 20):
                return True
        except HTTPError:
            return True
        except OSError:
            time.sleep(1)
    return False


def questions() -> list[tuple[str, str]]:
    """Return 100 questions about texts of one and of several windows."""
    made = []
    for number in range(20):
        name, place = NAMES[number % 4], PLACES[number % 5]
        year, length = 1900 + number * 4, 3 + number
        text = (
            f"{name} was born in {place} in {year}. After school she worked on a bridge that is"
            f" {length * 100} metres long and crosses a river. The bridge was painted green because"
            " the town council liked the colour."
        )
        filler = "The weather of that summer was dry, and the harvest was poor. " * (
            number % 4 * 30
        )
        made += [
            (f"Where was {name} born?", text),
            (f"When was {name} born?", filler + text),
            ("How long is the bridge?", text + " " + filler),
            ("Why was the bridge painted green?", text),
            ("What did she work on after school?", filler + text + " " + filler),
        ]
    return made


def commit(model: str) -> str:
    with get(f"api/models/{model}") as response:
        return str(json.load(response)["sha"])


def sha256(model: str, revision: str, file: str) -> str:
    with get(f"{model}/resolve/{revision}/{file}") as response:
        return hashlib.file_digest(response, "sha256").hexdigest()


@pytest.mark.long
def test_answers_are_those_of_the_reference(tmp_path: Path) -> None:
    if not is_reachable():
        pytest.skip("the hub cannot be reached")
    rows, revision = questions(), commit(ONNX)
    assert len(rows) == 100
    parameters = {
        "model": f"hub://{ONNX}@{revision}",
        "modelFile": "onnx/model.onnx",
        "modelSha256": sha256(ONNX, revision, "onnx/model.onnx"),
        "tokenizerSha256": sha256(ONNX, revision, "tokenizer.json"),
    }
    source = tmp_path / "source"
    text = io.StringIO()
    csv.writer(text).writerows([("question", "context"), *rows])
    source.write_bytes(text.getvalue().encode())
    pipeline = Pipeline("answers", "answers", "in", "out", json.dumps(parameters))
    limits = Limits(memory_mb=1024, cpu_seconds=3600, seconds=3600)
    pool = Pool(
        *("answers", json.dumps(parameters), limits, tmp_path, 1),
        environment=prepared(pipeline),
        is_model=True,
    )
    records: Any = pool.run([source], ["questions.csv"]).records
    pool.close()
    expected = reference(tmp_path / "reference", rows)
    for row, record, (answer, score, start, end) in zip(rows, records, expected, strict=True):
        assert record["error"] is None
        assert record["answer"] == answer, row
        if answer:
            assert (record["start"], record["end"]) == (start, end), row
            assert record["score"] == pytest.approx(score, abs=0.005), row


def reference(folder: Path, rows: list[tuple[str, str]]) -> list[tuple[str, float, int, int]]:
    """Return answer, score, start and end by the reference implementation."""
    python = folder / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--extra-index-url", TORCH, *PACKAGES],
        check=True,
    )
    done = subprocess.run(
        [python, "-c", REFERENCE, ORIGINAL, commit(ORIGINAL)],
        input=json.dumps(rows),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[tuple[str, float, int, int]] = json.loads(done.stdout.splitlines()[-1])
    return found
