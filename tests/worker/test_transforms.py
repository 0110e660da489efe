"""Transforms: a folder alone adds one; nothing but its own process imports its code."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import ROOT, Pipeline
from tests.worker.test_sandbox import LANDLOCK
from worker import transforms
from worker.sandbox.pool import Pool
from worker.settings import Limits
from worker.transforms import PICTURE

SPLIT = {
    "transform.toml": (
        'summary = "Split a text."\npolicy = "picture"\noutput_key = "{name}-{number}.{ext}"\n'
    ),
    "parameters.py": (
        "from dataclasses import dataclass\n"
        "from typing import Annotated\n"
        "from worker.transforms.parameters import Range\n"
        "@dataclass(frozen=True)\n"
        "class Parameters:\n"
        "    line_count: Annotated[int, Range(1, 10)] = 1\n"
        '    token: str = ""\n'
    ),
    "__init__.py": (
        "import os, sys\n"
        "from worker.transforms import Produced\n"
        "def apply(inputs, outputs, parameters):\n"
        "    (source,) = inputs\n"
        "    lines = source.path.read_text().splitlines(keepends=True)\n"
        "    files, step = [], parameters.line_count\n"
        "    for start in range(0, len(lines), step):\n"
        "        path = outputs / f'part{start}'\n"
        "        path.write_text(''.join(lines[start : start + step]))\n"
        "        files.append((path, 'text/plain'))\n"
        "    records = [{'line': line, 'name': source.name} for line in lines]\n"
        "    if parameters.token:\n"
        "        seen = [*sys.orig_argv, *os.environ.values()]\n"
        "        records = [{'token': parameters.token, 'seen': seen}]\n"
        "    return Produced(files, records, ['dropped nothing'])\n"
    ),
}
SPY = {
    "transform.toml": 'summary = "Look around."\npolicy = "picture"\n',
    "parameters.py": (
        "from dataclasses import dataclass\n@dataclass\nclass Parameters:\n    other: str\n"
    ),
    "__init__.py": (
        "import os\n"
        "from worker.transforms import Produced\n"
        "def apply(inputs, outputs, parameters):\n"
        "    other, notes = parameters.other, []\n"
        "    for action in (\n"
        "        lambda: open(other).read(), lambda: open(other, 'w'), lambda: os.unlink(other),\n"
        "        lambda: os.rename(other, 'a'), lambda: os.rename(inputs[0].path, other),\n"
        "        lambda: os.link(other, 'b'), lambda: os.symlink(other, 'c'),\n"
        "        lambda: os.truncate(other, 0), lambda: open(inputs[0].path, 'w'),\n"
        "    ):\n"
        "        try:\n"
        "            action()\n"
        "            notes.append('done')\n"
        "        except OSError as error:\n"
        "            notes.append(type(error).__name__)\n"
        "    return Produced(notes=notes)\n"
    ),
}
#: Runs a pool in a process of its own, as the worker's parent process: prints what it returned.
RUN_POOL = """
import json, sys
from pathlib import Path
from worker.sandbox.pool import Pool
from worker.settings import Limits
name, parameters, source, folder = sys.argv[1:]
pool = Pool(name, parameters, Limits(), Path(folder), 1)
made = pool.run([Path(source)], ["text.txt"])
pool.close()
files = [[path.read_text(), content_type] for path, content_type in made.files]
found = {"files": files, "records": list(made.records), "notes": list(made.notes)}
print(json.dumps(found | {"modules": sorted(sys.modules)}))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with the worker and two transforms more."""
    folder = tmp_path / "package"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=ignored)
    for name, files in {"split": SPLIT, "spy": SPY}.items():
        (folder / "worker" / "transforms" / name).mkdir()
        for file, text in files.items():
            (folder / "worker" / "transforms" / name / file).write_text(text)
    return folder


def python(package: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a package folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(package)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a text of three lines and an empty folder."""
    made = tmp_path / "files"
    made.mkdir()
    (made / "text.txt").write_text("one\ntwo\nthree\n")
    (made / "out").mkdir()
    return made


def test_a_folder_adds_a_transform_to_apply(package: Path, folder: Path) -> None:
    arguments = ["split", "--parameter", "lineCount=2", "text.txt", "out"]
    done = python(package, folder, "-m", "worker", "apply", *arguments)
    assert done.returncode == 0
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()][1:] == [
        "two\n",
        "three\n",
    ]
    assert done.stderr == "text.txt: dropped nothing.\n"
    found = {path.name: path.read_text() for path in (folder / "out").iterdir()}
    assert found == {"text.txt-1.txt": "one\ntwo\n", "text.txt-2.txt": "three\n"}


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("lineCount=11", "lineCount is 11: set it to a whole number from 1 to 10."),
        ("lineCount=x", "lineCount is 'x': set it to a whole number from 1 to 10."),
        ("lineCuont=2", "lineCuont is not a parameter of this transform: did you mean lineCount?"),
    ],
)
def test_its_parameters_are_checked(
    package: Path, folder: Path, parameter: str, sentence: str
) -> None:
    arguments = ["split", "--parameter", parameter, "text.txt", "out"]
    done = python(package, folder, "-m", "worker", "apply", *arguments)
    assert (done.returncode, done.stderr.strip()) == (2, sentence)
    assert not list((folder / "out").iterdir())


def test_several_results_need_a_folder(package: Path, folder: Path) -> None:
    done = python(package, folder, "-m", "worker", "apply", "split", "text.txt", "one.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "text.txt: it has 3 results: give a folder for them, one.txt/.\n"
    assert not (folder / "one.txt").exists()


def test_a_folder_adds_a_transform_to_the_pool(package: Path, folder: Path) -> None:
    done = python(
        package, folder, "-c", RUN_POOL, "split", '{"lineCount": 2}', "text.txt", str(folder)
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["files"] == [["one\ntwo\n", "text/plain"], ["three\n", "text/plain"]]
    assert found["records"][1] == {"line": "two\n", "name": "text.txt"}
    assert found["notes"] == ["dropped nothing"]
    assert not [name for name in found["modules"] if name.startswith("worker.transforms.split")]


def test_parameters_reach_the_process_unseen(package: Path, folder: Path) -> None:
    """They may be secret: others see command lines and environments of processes."""
    parameters = json.dumps({"token": "hidden-value"})
    done = python(package, folder, "-c", RUN_POOL, "split", parameters, "text.txt", str(folder))
    (record,) = json.loads(done.stdout)["records"]
    assert record["token"] == "hidden-value"
    assert "worker.sandbox.child" in record["seen"]
    assert not [text for text in record["seen"] if "hidden-value" in text]


@pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
def test_files_of_other_jobs_are_out_of_reach(package: Path, folder: Path) -> None:
    other = folder / "other"
    other.write_text("of another job")
    parameters = json.dumps({"other": str(other)})
    done = python(package, folder, "-c", RUN_POOL, "spy", parameters, "text.txt", str(folder))
    assert done.returncode == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    # Links and renames between folders fail as between file systems (landlock(7)).
    assert len(notes) == 9
    assert set(notes) <= {"PermissionError", "OSError"}
    assert other.read_text() == "of another job"
    assert (folder / "text.txt").read_text() == "one\ntwo\nthree\n"


def code_of_transforms(modules: list[str]) -> list[str]:
    """Return the modules that are code of transforms, or what only these need."""
    prefixes = [f"worker.transforms.{name}" for name in (*transforms.names(), "pictures")]
    return [name for name in modules if name.startswith((*prefixes, "PIL"))]


def test_describing_transforms_imports_none() -> None:
    """Settings at `preview` need what they are; their packages may be missing there."""
    script = (
        "import json, sys\nfrom worker import transforms as t\n"
        "from infra.settings import pipelines\n"
        "for name in t.names():\n"
        "    t.describe(name), t.version(name), t.find(name).parameters_type\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = python(ROOT, ROOT, "-c", script)
    assert done.returncode == 0, done.stderr
    assert code_of_transforms(json.loads(done.stdout)) == []


@pytest.mark.parametrize(
    "name", [name for name in transforms.names() if transforms.describe(name).policy == PICTURE]
)
def test_a_pass_imports_no_transform(versioned: Pipeline, name: str) -> None:
    versioned.tables = {"pipeline": {"transform": name}}
    versioned.configure()
    photo = encode(picture(), "PNG")
    versioned.put("a.png", photo)
    script = (
        "import json, sys\nfrom worker.__main__ import main\n"
        "status = main(sys.argv[1:])\nprint(json.dumps(sorted(sys.modules)))\nsys.exit(status)"
    )
    arguments = ["--settings", str(versioned.settings), "drain"]
    done = python(ROOT, versioned.folder, "-c", script, *arguments)
    assert done.returncode == 0, done.stderr
    assert code_of_transforms(json.loads(done.stdout.splitlines()[-1])) == []
    (row,) = versioned.rows()
    assert (row["outcome"], row["transform"]) == ("done", name)
    if name == "copy":
        assert versioned.get("a.png") == photo


def test_no_other_code_names_a_transform() -> None:
    """All but that of a stack's first pipeline, which older stacks have, and the page's own."""
    known = set(transforms.names()) - {"negate", transforms.COMMAND}  # also a policy
    found = []
    for package in ("worker", "infra", "cli"):
        for path in (ROOT / package).rglob("*.py"):
            inner = path.relative_to(ROOT).parts
            if inner[:2] == ("worker", "transforms") and len(inner) > 3:
                continue
            tree = ast.parse(path.read_text())
            constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            found += [("/".join(inner), value) for value in constants if value in known]
    assert found == [("worker/web/thumbnails.py", "thumbnail")]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.JPEG", "image/jpeg"), ("a.tar.zip", "application/zip"), ("a", "application/octet-stream")],
)
def test_copy(tmp_path: Path, name: str, content_type: str) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)))
    pool = Pool("copy", "{}", Limits(), tmp_path, 1)
    try:
        made = pool.run([tmp_path / "source"], [name])
    finally:
        pool.close()
    ((path, found),) = made.files
    assert (path.read_bytes(), found) == (bytes(range(256)), content_type)
    assert (list(made.records), list(made.notes)) == ([], [])
