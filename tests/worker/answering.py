"""What tests of `answers` share: the model that answers by a rule, and an environment to run it.

The environment is prepared as on a machine, below the cache that local machines have, so that its
packages are installed once for all tests.
"""

import hashlib
import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.pipeline import client
from local.cache import cache_folder
from local.object_store import ObjectStore
from tests.checkout import PROJECT
from worker.environment import Environment, environment_of
from worker.preparation import prepare
from worker.settings import DatabaseSettings, Package, Pipeline, Settings, StoreSettings

#: The names of fields that the rule knows.
WORDS = ["name", "city", "age", "job"]
_BUCKET = "models"
PREPARED = cache_folder() / "prepared"


def write_rule_model(folder: Path, **constants: float) -> None:
    """Write the example's model; `constants` replace numbers that its graph has."""
    module = runpy.run_path(str(PROJECT / "examples/answers/rule_model.py"))
    module["_CONSTANTS"].update(constants)
    write: Callable[..., None] = module["write"]
    write(folder, WORDS)


def environment(folder: Path, store: ObjectStore, model: Path) -> tuple[Environment, Any]:
    """Prepare a model that is in a bucket.

    Returns:
        The environment, and the parameters that name the model.
    """
    parameters = {"model": f"s3://{_BUCKET}/rule"}
    s3 = client(store)
    s3.create_bucket(Bucket=_BUCKET)
    for name, parameter in (("model.onnx", "modelSha256"), ("tokenizer.json", "tokenizerSha256")):
        content = (model / name).read_bytes()
        s3.put_object(Bucket=_BUCKET, Key=f"rule/{name}", Body=content)
        parameters[parameter] = hashlib.sha256(content).hexdigest()
    return prepared_environment(folder, store, parameters), parameters


def prepared_environment(
    folder: Path, store: ObjectStore, parameters: Mapping[str, str]
) -> Environment:
    """Prepare what `answers` needs with some parameters."""
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "s3-access-key").write_text(store.access_key)
    (credentials / "s3-secret-key").write_text(store.secret_key)
    pipeline = Pipeline("answers", "answers", "in", "out", json.dumps(dict(parameters)))
    settings = Settings(
        "stack",
        "vm-1",
        StoreSettings(store.endpoint, _BUCKET),
        DatabaseSettings("", "", "", ""),
        Package(),
        {"answers": pipeline},
        credentials=credentials,
        prepared=PREPARED,
    )
    prepare(settings, pipeline)
    return environment_of(settings, pipeline)
