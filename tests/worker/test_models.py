"""Processes with the policy `model`: what they can read, load once, print, and how they fail."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.worker.pipeline import ROOT
from tests.worker.test_transforms import python

#: A transform that loads a model once, in a thread, and refuses or crashes if its input says so.
MODEL = """
    import os, threading
    from pathlib import Path
    from worker.errors import InvalidInput, ServiceUnavailable
    from worker.transforms import Produced

    loaded = []

    def start(parameters, resources):
        print("loading")
        text = resources.files["model"].read_text()
        if text == "broken":
            raise ValueError("it is no model")
        if text == "unavailable":
            raise ServiceUnavailable("The model is not there: fetch it.")
        if text == "deadly":
            os.write(2, b"cannot load it\\n")
            os._exit(3)
        thread = threading.Thread(target=loaded.append, args=(text,))
        thread.start()
        thread.join()

    def apply(inputs, outputs, parameters):
        text = inputs[0].path.read_text()
        print("applied to", text)
        if text == "crash":
            os.abort()
        if text == "hold":
            bytearray(2 << 30)
        scratch = Path(os.environ["TMPDIR"])
        left = len(list(scratch.iterdir()))
        (scratch / "folder").mkdir()
        (scratch / "folder" / "file").write_text("temporary")
        return Produced(records=[{"loaded": list(loaded), "left": left}])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the worker and the transform."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=shutil.ignore_patterns("*.pyc"))
    own = folder / "worker/transforms/loading"
    own.mkdir()
    (own / "__init__.py").write_text(dedent(MODEL))
    (own / "transform.toml").write_text('summary = "Load a model."\npolicy = "model"\n')
    return folder


#: Runs jobs one after the other; prints how each of them ended.
RUN = """
import json, sys
from pathlib import Path
from worker.environment import Environment
from worker.errors import PipelineError
from worker.sandbox.policy import make_pool
from worker.settings import Limits, Pipeline
model, interpreter, *texts = sys.argv[1:]
environment = Environment(Path(interpreter), files={"model": Path(model)})
pipeline = Pipeline("own", "loading", "in", "out", limits=Limits(memory_mb=512, seconds=300))
pool = make_pool(pipeline, environment, Path(), 1)
for text in texts:
    Path("source").write_text(text)
    try:
        made = pool.run([Path("source")], ["source.txt"])
        found = {"record": made.records[0], "log": made.log}
    except PipelineError as error:
        found = {type(error).__name__: str(error), "log": getattr(error, "log", "")}
    print(json.dumps(found))
pool.close()
print(json.dumps(sorted(path.name for path in Path().iterdir())))
"""


def run(
    package: Path, folder: Path, *texts: str, model: str = "weights", interpreter: str = ""
) -> list[dict[str, Any]]:
    """Return how jobs of one pool ended, by their inputs' texts."""
    (folder / "model").write_text(model)
    arguments = [str(folder / "model"), interpreter or sys.executable, *texts]
    done = python(package, folder, "-c", RUN, *arguments)
    assert done.returncode == 0, done.stderr
    *found, files = map(json.loads, done.stdout.splitlines())
    assert files == ["model", "source"]
    return found


def test_a_model_is_loaded_once_and_temporary_files_are_removed(
    package: Path, tmp_path: Path
) -> None:
    record = {"loaded": ["weights"], "left": 0}
    assert run(package, tmp_path, "one", "two") == [
        {"record": record, "log": "applied to one\n"},
        {"record": record, "log": "applied to two\n"},
    ]


def test_a_crash_has_a_log_and_concerns_one_file(package: Path, tmp_path: Path) -> None:
    crash, hold, last = run(package, tmp_path, "crash", "hold", "last")
    reason = "its process was killed by signal 6"
    assert crash == {"TransformCrashed": reason, "log": "applied to crash\n"}
    reason = "it needs more memory than limits.memory_mb"
    assert hold == {"InvalidInput": reason, "log": "applied to hold\n"}
    assert last["record"]["loaded"] == ["weights"]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("broken", "The transform loading cannot start: ValueError: it is no model."),
        ("unavailable", "The model is not there: fetch it."),
        ("deadly", "libraries. It printed: cannot load it"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_no_fault_of_a_file(
    package: Path, tmp_path: Path, model: str, sentence: str
) -> None:
    for found in run(package, tmp_path, "one", "two", model=model):
        assert found["ServiceUnavailable"].endswith(sentence)


def test_the_interpreter_of_the_environment(package: Path, tmp_path: Path) -> None:
    """Packages of its virtual environment can be imported, those of the worker's cannot."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (own,) = venv.glob("lib/*/site-packages")
    (own / "weights.py").write_text("import threading\nvalue = 7\n")
    code = """
        import sys
        from worker.transforms import Produced
        def apply(inputs, outputs, parameters):
            import weights
            found = {"value": weights.value, "prefix": sys.prefix}
            try:
                import psycopg
            except ImportError:
                found["worker"] = "not there"
            return Produced(records=[found])
    """
    folder = package / "worker/transforms/importing"
    folder.mkdir()
    (folder / "__init__.py").write_text(dedent(code))
    (folder / "transform.toml").write_text('summary = "Import."\npolicy = "model"\n')
    work = tmp_path / "work"
    work.mkdir()
    (work / "model").write_text("")
    script = RUN.replace('"loading"', '"importing"')
    arguments = [str(work / "model"), str(venv / "bin/python"), "text"]
    done = python(package, work, "-c", script, *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[0])
    assert found["record"] == {"value": 7, "prefix": str(venv), "worker": "not there"}
