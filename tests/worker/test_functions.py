"""Functions of users as transforms: their declarations, and what becomes of their results."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.worker.pipeline import ROOT
from worker import transforms
from worker.errors import InvalidInput, InvalidSettings
from worker.testing import ApplyTransform
from worker.transforms import COMMAND, MODEL

pytest_plugins = ["worker.testing"]
FUNCTION = "text.tools:split"
SPLIT = """
    import not_installed_at_preview

    def split(source: "Path", outputs, *, size: int = 2, sep: str | None = None,
              kind: Literal["a", 2] = "a", scales: list[float] = [1, 2.5], deep: bool = False,
              limit: "typing.Optional[int]" = None, title: str):
        '''Split a text.

        More.
        '''
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "text").mkdir(parents=True)
    return made


def write(folder: Path, code: str, name: str = "text/tools.py") -> None:
    (folder / name).write_text(dedent(code))


def test_a_declaration_is_read_without_importing_it(folder: Path) -> None:
    write(folder, SPLIT)
    found = transforms.find(FUNCTION, folder)
    assert found.description.summary == "Split a text."
    assert not found.description.gathers
    assert vars(found.read({"title": "x"})) == {
        "size": 2,
        "sep": None,
        "kind": "a",
        "scales": [1.0, 2.5],
        "deep": False,
        "limit": None,
        "title": "x",
    }
    given = {"title": "x", "size": "3", "kind": 2, "scales": [4], "limit": 5, "sep": ";"}
    assert vars(found.read(given)) == {**given, "size": 3, "scales": [4.0], "deep": False}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "title is missing: set it to a text."),
        ({"title": "x", "size": "many"}, "size is 'many': set it to a whole number."),
        ({"title": "x", "kind": "b"}, "kind is 'b': set it to one of a, 2."),
        ({"title": "x", "sizes": 1}, "sizes is not a parameter of this transform: did you mean"),
    ],
)
def test_wrong_parameters(folder: Path, given: Mapping[str, object], sentence: str) -> None:
    write(folder, SPLIT)
    with pytest.raises(InvalidSettings, match=sentence):
        transforms.find(FUNCTION, folder).read(given)


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        ("source, outputs, *, size", "parameter size has no annotation: write its type, bool"),
        ("source, outputs, *, size: Path", "parameter size has the annotation Path: use bool"),
        ("source, outputs, *, size: int | str", "has the annotation int | str: use bool"),
        ("source, outputs, *, size: 'a b'", "parameter size has the annotation 'a b': use bool"),
        ("source, outputs, *, size: list", "parameter size has the annotation list: use bool"),
        ("source, outputs, *, size: Literal[1.5]", "the annotation Literal[1.5]: use bool"),
        ("source, outputs, *, size: int = N", "has the default N: write a value, not an"),
        ("source, outputs, *, size: int = 'x'", "has the default 'x': write a whole number."),
        ("source, outputs, size: int = 1", "must take a file, a folder and its parameters by key"),
        ("source", "must take a file, a folder and its parameters by keyword: write def split("),
        ("source, outputs, *, __slots__: int = 1", "__slots__ has a name that begins with __: re"),
        ("source, outputs, *, a_b: int = 1, aB: int = 2", "a_b and aB have one name in settings"),
        ("source, outputs, **more", "must take a file, a folder and its parameters by keyword"),
    ],
)
def test_a_wrong_signature_names_function_parameter_and_remedy(
    folder: Path, signature: str, sentence: str
) -> None:
    write(folder, f"def split({signature}):\n    pass\n")
    with pytest.raises(InvalidSettings) as raised:
        transforms.find(FUNCTION, folder)
    (line,) = str(raised.value).splitlines()
    assert line.startswith("transform names split (text/tools.py, line 1), wh")
    assert sentence in line


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        (
            "text.tools:splat",
            "split = 1",
            "transform is text.tools:splat, but text/tools.py defines",
        ),
        (FUNCTION, "def split(:", "transform is text.tools:split, but text/tools.py, line 1: inv"),
        (FUNCTION, "\0", "transform is text.tools:split, but text/tools.py"),
        ("json:run", "", "transform is json:run, but Python has a module json itself"),
        ("worker.own:run", "", "but Python has a module worker itself: rename yours"),
        (FUNCTION, "async def split(a, b): pass", "which is async: write def."),
        ("text.tool:split", "", "folder is '.*', which has no text/tool.py: correct"),
        ("text/tools:split", "", "transform is 'text/tools:split': write package.module:function."),
        ("folder.text:split", "", "has no folder/text.py: set folder to the folder above it"),
    ],
)
def test_a_function_that_is_not_there(folder: Path, name: str, code: str, sentence: str) -> None:
    write(folder, code)
    with pytest.raises(InvalidSettings, match=sentence) as raised:
        transforms.find(name, folder)
    assert len(str(raised.value).splitlines()) == 1


def test_a_function_needs_a_folder() -> None:
    with pytest.raises(InvalidSettings, match=r"folder is missing: .* that contains text\."):
        transforms.find(FUNCTION)


def test_policy_of_a_function() -> None:
    described = transforms.describe(FUNCTION)
    assert transforms.policy(described) == MODEL
    wanted: list[dict[str, Any]] = [
        {"apt": ["vim"]},
        {"network": True},
        {"allow": ["10.0.0.0/8"]},
        {"secrets": ["key"]},
    ]
    assert {transforms.policy(described, **one) for one in wanted} == {COMMAND}


def test_version_follows_the_folder_and_shared_code() -> None:
    assert transforms.version(FUNCTION, "a") != transforms.version(FUNCTION, "b")
    found = {transforms.version(name) for name in transforms.names()}
    assert len(found) == len(transforms.names())


def test_version_covers_the_code_that_transforms_of_pictures_share(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "worker", tmp_path / "worker", ignore=ignored)
    code = (
        "import sys; from worker.transforms import version;"
        "print(*map(version, ['negate', 'thumbnail', 'copy']))"
    )

    def versions() -> list[str]:
        run = [sys.executable, "-P", "-c", code]
        environment = {"PYTHONPATH": str(tmp_path)}
        return subprocess.check_output(run, text=True, env=environment).split()

    before = versions()
    shared = tmp_path / "worker" / "transforms" / "pictures" / "formats.py"
    shared.write_text(f"{shared.read_text()}\n# changed\n")
    after = versions()
    changed = [old != new for old, new in zip(before, after, strict=True)]
    assert changed == [True, True, False]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a text.txt"
    path.write_text("one\ntwo\n")
    return path


def test_files_and_records_are_results(
    apply_transform: ApplyTransform, folder: Path, source: Path
) -> None:
    code = """
        import json
        def parts(source, outputs, *, size: int = 1):
            assert source.name == "a text.txt"
            lines = source.read_text().splitlines()
            (outputs / "b.txt").write_text(lines[0])
            (outputs / "a.csv").write_text(str(size))
            (outputs / ".hidden").write_text("")
            (outputs / "records.jsonl").write_text('{"n": 1}\\n\\n{"n": 2}')
            return [{"n": 3}]
    """
    write(folder, code, "parts_module.py")
    name = "parts_module:parts"
    made = apply_transform(name, source, folder=folder, parameters={"size": 7})
    files = [(path.name, path.read_text(), kind) for path, kind in made.files]
    assert files == [("a.csv", "7", "text/csv"), ("b.txt", "one", "text/plain")]
    assert list(made.records) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_function_that_takes_a_list_gathers(
    apply_transform: ApplyTransform, folder: Path, source: Path
) -> None:
    code = """
        from pathlib import Path
        def names(sources: list[Path], outputs):
            return [{"name": one.name} for one in sources]
        def single(source, outputs): pass
    """
    write(folder, code, "names_module.py")
    other = source.with_name("b")
    other.write_text("")
    name = "names_module:names"
    made = apply_transform(name, source, other, folder=folder, gather=True)
    assert list(made.records) == [{"name": "a text.txt"}, {"name": "b"}]
    assert len(apply_transform(name, source, folder=folder).records) == 1
    with pytest.raises(InvalidSettings, match="names_module:single takes one file"):
        apply_transform("names_module:single", source, other, folder=folder, gather=True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('no text')", "ValueError: no text"),
        ("open(outputs / 'missing')", "FileNotFoundError: .*missing"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return 'text'", "it returned a str: return None, or a list of dicts, its records"),
        ("return [{'a': 1}, {'a': {1}}]", "record 2 that it returned is not JSON: Object of type"),
        (
            "return [{'a': float('nan')}]",
            "record 1 that it returned has the number nan: write null",
        ),
        (
            "deep = []\n    for _ in range(100): deep = [deep]\n    return [{'a': deep}]",
            "record 1 that it returned is nested deeper than 40 levels",
        ),
        ("(outputs / 'a').mkdir()", "its results contain the folder 'a': only files are results"),
        ("(outputs / 'a').symlink_to('b')", "its results contain the special file 'a'"),
        ("(outputs / 'records.jsonl').write_text('{}\\n{')", "line 2 of records.jsonl is not JSON"),
        (
            "(outputs / 'records.jsonl').write_text('[]')",
            "line 1 of records.jsonl is not a JSON ob",
        ),
        (
            "(outputs / 'records.jsonl').write_text('{\"a\": NaN}')",
            "line 1 of records.jsonl has the number nan: write null",
        ),
        (
            "(outputs / 'records.jsonl').write_text('{\"a\": [1e999]}')",
            "line 1 of records.jsonl has the number inf: write null",
        ),
    ],
)
def test_what_refuses_the_job(
    apply_transform: ApplyTransform, folder: Path, source: Path, body: str, reason: str
) -> None:
    module = f"refused_{abs(hash(body))}"
    write(folder, f"def run(source, outputs):\n    {body}\n", f"{module}.py")
    with pytest.raises(InvalidInput, match=reason):
        apply_transform(f"{module}:run", source, folder=folder)


def test_a_traceback_is_printed_from_the_function_on(
    apply_transform: ApplyTransform, folder: Path, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "def inner():\n    1 / 0\ndef run(source, outputs):\n    inner()\n"
    write(folder, code, "failing_module.py")
    with pytest.raises(InvalidInput, match="ZeroDivisionError: division by zero"):
        apply_transform("failing_module:run", source, folder=folder)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert 'failing_module.py", line 4, in run' in lines[1]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import missing_package.part",
            "No module named 'missing_package'; name its package in req",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(1)", "SystemExit: 1"),
        ("from json import missing", "ImportError: cannot import name 'missing' from 'json'"),
    ],
)
def test_an_import_error_refuses_the_job(
    apply_transform: ApplyTransform, folder: Path, source: Path, code: str, reason: str
) -> None:
    module = f"broken_{abs(hash(code))}"
    write(folder, f"{code}\ndef run(source, outputs):\n    pass\n", f"{module}.py")
    with pytest.raises(InvalidInput) as raised:
        apply_transform(f"{module}:run", source, folder=folder)
    assert str(raised.value).startswith(f"its module {module} cannot be imported: {reason}")


def test_a_module_with_the_name_of_another_one(
    apply_transform: ApplyTransform, folder: Path, source: Path
) -> None:
    write(folder, "def run(source, outputs):\n    pass\n", "pytest.py")
    with pytest.raises(InvalidInput, match="its module pytest has the name of another one of Pyt"):
        apply_transform("pytest:run", source, folder=folder)


def test_a_parameter_may_be_called_check(
    apply_transform: ApplyTransform, folder: Path, source: Path
) -> None:
    code = "def split(source, outputs, *, check: bool = True): return [{'check': check}]\n"
    write(folder, code, "checking.py")
    assert apply_transform("checking:split", source, folder=folder).records == [{"check": True}]


def worker_apply(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", "apply", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
    )


def test_apply_tries_a_function(folder: Path, source: Path, tmp_path: Path) -> None:
    code = """
        def run(source, outputs, *, word_count: int):
            print("working")
            (outputs / "x.csv").write_text(source.read_text())
            return [{"words": word_count}]
    """
    write(folder, code)
    results = tmp_path / "results"
    results.mkdir()
    arguments = ["text.tools:run", "--folder", folder, "--parameter", "wordCount=3"]
    done = worker_apply(tmp_path, *arguments, source, "--to", results)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["working", '{"words": 3}']
    assert (results / "a text.txt.csv").read_text() == source.read_text()


def test_apply_does_not_show_its_temporary_folder(
    folder: Path, source: Path, tmp_path: Path
) -> None:
    write(folder, "def run(source, outputs):\n    (source / 'page').read_text()\n")
    arguments = ["text.tools:run", "--folder", folder, source, "--to", tmp_path]
    done = worker_apply(tmp_path, *arguments)
    reason = "NotADirectoryError: [Errno 20] Not a directory: 'a text.txt/page'"
    assert done.stderr.splitlines()[-1] == f"{source}: {reason}."


def test_apply_names_the_command_that_installs_what_is_missing(
    folder: Path, source: Path, tmp_path: Path
) -> None:
    write(folder, "import missing_package\ndef run(source, outputs):\n    pass\n")
    (folder / "requirements.txt").write_text("missing-package==1.0\n")
    arguments = ["text.tools:run", "--folder", folder, source, "--to", tmp_path]
    done = worker_apply(tmp_path, *arguments)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    installed = f"{sys.executable} -m pip install -r {folder / 'requirements.txt'}"
    assert last.endswith(f"; `{installed}` installs it.")
    assert "its module text.tools cannot be imported: No module named 'missing_package'" in last


def test_apply_reads_lists_and_maps_as_json(folder: Path, source: Path, tmp_path: Path) -> None:
    write(folder, "def run(source, outputs, *, words: list[str]): return [{'words': words}]\n")
    arguments = ["text.tools:run", "--folder", folder, source, "--to", tmp_path, "--parameter"]
    done = worker_apply(tmp_path, *arguments, 'words=["a", "b"]')
    assert (done.stdout, done.stderr) == ('{"words": ["a", "b"]}\n', "")
    done = worker_apply(tmp_path, *arguments, "words=[a, b]")
    assert done.returncode == 2
    assert "'words=[a, b]': write the list or map as JSON, its texts in quotes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["text.tools:run", "a", "b"], 2, "folder is missing: transform text.tools:run is a func"),
        (["blur", "a", "b"], 2, "transform is 'blur': set it to one of "),
        (["a:b", "--folder", "x", "a", "b"], 2, "folder is 'x', which is not a folder: name one."),
        (["copy", "a"], 2, "Where results go is missing: give --to DST."),
        (["copy", "--gather", "a", "--to", "b"], 2, "copy takes one file: try it without --gather"),
    ],
)
def test_apply_refuses_in_one_sentence(
    tmp_path: Path, arguments: list[str], status: int, sentence: str
) -> None:
    done = worker_apply(tmp_path, *arguments)
    assert done.returncode == status
    (line,) = done.stderr.splitlines()
    assert line.startswith(sentence)


def test_the_example_passes_its_own_test(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    # Otherwise it removes temporary folders that other tests have left.
    run += [f"--basetemp={tmp_path / 'own'}", "examples/own-function"]
    done = subprocess.run(run, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
