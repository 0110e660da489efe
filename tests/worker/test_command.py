"""The transform `command`: programs as transforms, without a stack."""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from worker import transforms
from worker.errors import InvalidInput, InvalidSettings, ServiceUnavailable
from worker.testing import ApplyTransform
from worker.transforms import Produced

pytest_plugins = ["worker.testing"]
#: A program that reports what it was given, and writes two files and a record.
PROGRAM = """
import json, os, pathlib, sys
inputs, outputs, parameters, *others = sys.argv[1:]
files = {str(path.relative_to(inputs)): path.read_text()
         for path in pathlib.Path(inputs).rglob("*") if path.is_file()}
record = {"files": files, "others": others, "values": json.load(open(parameters)),
          "stdin": sys.stdin.read(), "worker": os.environ.get("PYTHONPATH"), "work": os.listdir()}
(pathlib.Path(outputs) / "records.jsonl").write_text(json.dumps(record))
(pathlib.Path(outputs) / "plot.svg").write_text("<svg/>")
(pathlib.Path(outputs) / "model.jar").write_text("PK")
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("a;b\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    (made / "main.py").write_text(PROGRAM)
    return made


def shell(apply_transform: ApplyTransform, source: Path, script: str) -> Produced:
    argv = ["sh", "-c", script, "sh", "{inputs}", "{outputs}"]
    return apply_transform("command", source, parameters={"argv": argv})


def test_a_program_gets_folders_and_values(
    apply_transform: ApplyTransform, source: Path, folder: Path
) -> None:
    argv = ["python3", "{folder}/main.py", "{inputs}", "{outputs}", "{parameters}"]
    parameters = {"argv": [*argv, "a b", "{{x}}", "$HOME"], "values": {"seed": 7, "deep": [1]}}
    made = apply_transform("command", source, folder=folder, parameters=parameters)
    files = [(path.name, kind) for path, kind in made.files]
    assert files == [("model.jar", "application/java-archive"), ("plot.svg", "image/svg+xml")]
    (record,) = made.records
    assert record == {
        "files": {"rows.csv": "a;b\n"},
        "others": ["a b", "{x}", "$HOME"],
        "values": {"seed": 7, "deep": [1]},
        "stdin": "",
        "worker": None,
        "work": [],
    }


def test_several_inputs(apply_transform: ApplyTransform, source: Path, folder: Path) -> None:
    other = source.with_name("more.csv")
    other.write_text("c\n")
    argv = ["python3", "{folder}/main.py", "{inputs}", "{outputs}", "{parameters}"]
    made = apply_transform(
        "command", source, other, folder=folder, parameters={"argv": argv}, gather=True
    )
    (record,) = made.records
    assert record["files"] == {"rows.csv": "a;b\n", "more.csv": "c\n"}


def test_python_is_the_one_that_has_the_packages(
    apply_transform: ApplyTransform, source: Path, tmp_path: Path
) -> None:
    found = tmp_path / "found"
    shell(apply_transform, source, f"command -v python3 > {found}")
    assert Path(found.read_text().strip()).parent == Path(sys.executable).parent


def test_how_it_ended_is_the_last_line(
    apply_transform: ApplyTransform, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shell(apply_transform, source, "printf unfinished; echo problem >&2")
    out, err = capfd.readouterr()
    assert out == "unfinished"
    last = err.splitlines()[-1]
    assert re.fullmatch(r"ended with status 0 after \d+\.\d s; CPU \d+\.\d s; memory \d+ MB", last)


@pytest.mark.parametrize(
    ("script", "ending"),
    [("exit 3", "ended with status 3"), ("kill -9 $$", "was killed by signal 9")],
)
def test_a_failure_refuses_the_job(
    apply_transform: ApplyTransform,
    source: Path,
    capfd: pytest.CaptureFixture[str],
    script: str,
    ending: str,
) -> None:
    with pytest.raises(InvalidInput, match=f"^its command {ending}$"):
        shell(apply_transform, source, f"touch $2/partial; {script}")
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith(f"{ending.removeprefix('was ')} after ")


def test_malformed_records_refuse_the_job(apply_transform: ApplyTransform, source: Path) -> None:
    with pytest.raises(InvalidInput, match="line 2 of records"):
        shell(apply_transform, source, "echo '{{}}' > $2/records.jsonl; echo 1 >> $2/records.jsonl")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "argv has no program: write it first"),
        ([""], "argv has no program: write it first"),
        (["cat", "{input}"], "argv has the placeholder {input}: use {inputs}, {outputs}, {folder}"),
        (["cat", "{}"], "argv has braces: use {inputs}"),
        (["cat", '{"token": 1}'], "argv has braces: use {inputs}"),
        (["cat", "{inputs!r}"], "argv has the placeholder {inputs}: use"),
        (["cat", "{inputs"], "argv has a single brace: double it, {{ or }}."),
        (["{folder}/run.sh"], "argv has {folder}, but the pipeline has no folder: set folder."),
        (["cat", 3], "argv is ['cat', 3]: set it to a list, each element a text."),
    ],
)
def test_wrong_argv_is_known_before_it_runs(argv: Sequence[object], sentence: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        transforms.find("command").read({"argv": argv})
    (line,) = str(raised.value).splitlines()
    assert line.startswith(sentence)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (
            "no-such-program",
            "'no-such-program' of argv was not found: name the Debian package that",
        ),
        ("{folder}/run sh", "'{folder}/run sh' of argv was not found: add it to the folder"),
    ],
)
def test_a_missing_program_is_not_the_fault_of_a_file(
    apply_transform: ApplyTransform, source: Path, folder: Path, program: str, sentence: str
) -> None:
    with pytest.raises(ServiceUnavailable, match=sentence):
        apply_transform("command", source, folder=folder, parameters={"argv": [program]})


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["{folder}/run.sh"], "argv has {folder}/run.sh, but the folder has no run.sh: add it"),
        (["python3", "{folder}/a/b.py"], "argv has {folder}/a/b.py, but the folder has no a/b.py"),
        (["cat", "{folder}/../source"], "argv has {folder}/../source, but the folder has no"),
        (["{folder}/main.py"], "argv has {folder}/main.py as its program, which is not executable"),
    ],
)
def test_what_the_folder_lacks_is_known_before_it_runs(
    folder: Path, argv: Sequence[str], sentence: str
) -> None:
    with pytest.raises(InvalidSettings) as raised:
        transforms.find("command", folder).read({"argv": argv})
    (line,) = str(raised.value).splitlines()
    assert line.startswith(sentence)


def test_a_program_that_cannot_be_started_is_not_the_fault_of_a_file(
    apply_transform: ApplyTransform, source: Path, folder: Path
) -> None:
    program = folder / "main.sh"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(ServiceUnavailable, match="cannot be started"):
        apply_transform("command", source, folder=folder, parameters={"argv": ["{folder}/main.sh"]})


def test_values_are_readable_by_the_job_alone(
    apply_transform: ApplyTransform, source: Path, tmp_path: Path
) -> None:
    modes = tmp_path / "modes"
    argv = ["sh", "-c", f"stat -c %a $(dirname $1) > {modes}", "sh", "{parameters}"]
    apply_transform("command", source, parameters={"argv": argv, "values": {"a": 1}})
    assert modes.read_text().split() == ["700"]


def test_values_of_a_program_are_json() -> None:
    found = transforms.find("command").read({"argv": ["true"], "values": {"a": [1, None, {}]}})
    assert json.dumps(found.values) == '{"a": [1, null, {}]}'
    with pytest.raises(InvalidSettings, match="values is 3: set it to a map"):
        transforms.find("command").read({"argv": ["true"], "values": 3})


def test_its_environment_is_the_job_s(
    apply_transform: ApplyTransform, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", os.fspath(tmp_path))
    (tmp_path / "key").write_text("secret")
    seen = tmp_path / "seen"
    shell(apply_transform, source, f"cp $CREDENTIALS_DIRECTORY/key {seen}")
    assert seen.read_text() == "secret"
