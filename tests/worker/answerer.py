"""The transform `answers` as a machine runs it, with the model that answers by a rule."""

import csv
import hashlib
import io
import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pipeline import client
from local.object_store import ObjectStore
from tests.checkout import PROJECT
from tests.worker.prepared import prepared
from worker.environment import Environment
from worker.sandbox.pool import Pool
from worker.settings import Limits, Pipeline

#: The names of fields that the rule knows.
WORDS = ["name", "city", "age", "job"]


def write_rule_model(folder: Path, **constants: float) -> None:
    """Write the example's model; `constants` replace numbers that its graph has."""
    module = runpy.run_path(str(PROJECT / "examples/answers/rule_model.py"))
    module["_CONSTANTS"].update(constants)
    write: Callable[..., None] = module["write"]
    write(folder, WORDS)


class Answerer:
    """Runs `answers` as a worker does, confined, with a process for each set of parameters."""

    def __init__(self, environment: Environment, model: Mapping[str, str], folder: Path) -> None:
        self.environment, self._model, self._folder = environment, model, folder
        self._pools: dict[str, Pool] = {}

    def __call__(self, content: bytes, **parameters: object) -> tuple[bytes, Any]:
        """Return the result of a file, and what else was made of it."""
        text = json.dumps({**self._model, **parameters})
        if text not in self._pools:
            self._pools[text] = self.pool(text, self.environment)
        source = self._folder / "source"
        source.write_bytes(content)
        made = self._pools[text].run([source], ["questions.csv"])
        ((path, content_type),) = made.files
        assert content_type == "text/csv"
        return path.read_bytes(), made

    def pool(self, parameters: str, environment: Environment) -> Pool:
        return Pool(
            *("answers", parameters, Limits(), self._folder, 1),
            environment=environment,
            is_model=True,
        )

    def rows(self, *rows: Sequence[str], **parameters: object) -> list[dict[str, str]]:
        """Answer rows of question and context; return the lines of the result by column."""
        text = io.StringIO()
        csv.writer(text).writerows([("question", "context"), *rows])
        result, _ = self(text.getvalue().encode(), **parameters)
        return list(csv.DictReader(io.StringIO(result.decode(), newline="")))

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def make_answerer(folder: Path, store: ObjectStore) -> Answerer:
    """Prepare the rule, as a model that is in a bucket.

    Args:
        folder: An empty folder; the bucket has its name.
        store: The object store.

    Returns:
        What runs `answers` with it; to be closed.
    """
    write_rule_model(folder / "model")
    for name in ("work", "credentials"):
        (folder / name).mkdir()
    s3, bucket = client(store), folder.name
    s3.create_bucket(Bucket=bucket)
    parameters = {"model": f"s3://{bucket}/rule"}
    for name, parameter in (("model.onnx", "modelSha256"), ("tokenizer.json", "tokenizerSha256")):
        content = (folder / "model" / name).read_bytes()
        s3.put_object(Bucket=bucket, Key=f"rule/{name}", Body=content)
        parameters[parameter] = hashlib.sha256(content).hexdigest()
    pipeline = Pipeline("answers", "answers", "in", "out", json.dumps(parameters))
    environment = prepared(pipeline, store, folder / "credentials")
    return Answerer(environment, parameters, folder / "work")
