"""Functions of users and commands in the confined processes of a pool."""

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from worker.environment import Environment
from worker.errors import InvalidInput
from worker.sandbox.policy import make_pool
from worker.sandbox.pool import TransformPool
from worker.settings import Package, Pipeline

CODE = """
    import logging
    import os
    import sys
    from pathlib import Path

    import helper

    calls = 0

    def describe(source: Path, outputs: Path, *, secret_word: str = "") -> list:
        global calls
        calls += 1
        print("reading", source.name, "call", calls)
        logging.warning("a warning")
        os.write(1, b"from a library\\n")
        text = source.read_text()
        if text == "bad":
            raise helper.Problem("cannot use it")
        if text == "crash":
            os._exit(7)
        (outputs / "copy.txt").write_text(text)
        Path("relative.txt").write_text("no result")
        return [{"name": source.name, "word": secret_word, "arguments": sys.orig_argv}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    (made / "describing.py").write_text(dedent(CODE))
    (made / "helper.py").write_text("class Problem(Exception):\n    pass\n")
    (made / "broken.py").write_text("import missing_package\ndef run(source, outputs): pass\n")
    return made


def started(
    tmp_path: Path, folder: Path, transform: str, parameters: str, *, network: bool = False
) -> TransformPool:
    package = Package("folder.zip", "0" * 64)
    pipeline = Pipeline(
        "own", transform, "in", "out", parameters=parameters, folder=package, network=network
    )
    work = tmp_path / "work"
    work.mkdir()
    return make_pool(pipeline, Environment(folder=folder), work, 1)


@pytest.fixture
def pool(tmp_path: Path, folder: Path) -> Iterator[TransformPool]:
    made = started(tmp_path, folder, "describing:describe", '{"secretWord": "hidden"}')
    yield made
    made.close()


def upload(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "upload"
    path.write_text(text)
    return path


def test_files_records_and_log(pool: TransformPool, tmp_path: Path) -> None:
    made = pool.run([upload(tmp_path, "text")], ["naïve 猫.txt"])
    assert [(path.read_text(), kind) for path, kind in made.files] == [("text", "text/plain")]
    (record,) = made.records
    assert (record["name"], record["word"]) == ("naïve 猫.txt", "hidden")
    assert "hidden" not in str(record["arguments"])
    lines = ["reading naïve 猫.txt call 1", "WARNING:root:a warning", "from a library"]
    assert made.log.splitlines() == lines
    again = pool.run([upload(tmp_path, "text")], ["b.txt"])
    assert "reading b.txt call 2" in again.log
    assert "naïve" not in again.log


ODD = """
    import sys

    def read_input(source, outputs):
        return [{"read": sys.stdin.read()}]

    def close_output(source, outputs):
        sys.stdout.close()
        sys.stderr = None
        return [{"closed": True}]

    def use_up(source, outputs, *, sizes: list[int]):
        return [{"size": sizes.pop()}]

    def nest(source, outputs):
        value = ()
        for _ in range(60):
            value = (value,)
        return [{"value": value}]
"""


@pytest.mark.parametrize(
    ("name", "record"),
    [("read_input", {"read": ""}), ("close_output", {"closed": True}), ("use_up", {"size": 3})],
)
@pytest.mark.parametrize("network", [False, True], ids=["model", "command"])
def test_what_a_function_does_to_its_process_changes_no_other_job(
    tmp_path: Path, folder: Path, name: str, record: dict[str, object], *, network: bool
) -> None:
    (folder / "odd.py").write_text(dedent(ODD))
    values = '{"sizes": [3]}' if name == "use_up" else "{}"
    made = started(tmp_path, folder, f"odd:{name}", values, network=network)
    for _ in range(2):
        assert made.run([upload(tmp_path, "text")], ["a.txt"]).records == [record]
    made.close()


def test_records_of_tuples_are_as_deep_as_those_of_lists(tmp_path: Path, folder: Path) -> None:
    (folder / "odd.py").write_text(dedent(ODD))
    made = started(tmp_path, folder, "odd:nest", "{}")
    with pytest.raises(InvalidInput, match="record 1 that it returned is nested deeper than 40"):
        made.run([upload(tmp_path, "text")], ["a.txt"])
    made.close()


UNREADABLE = """
    import os
    import tempfile

    def lock(source, outputs):
        os.chdir(tempfile.mkdtemp())
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        os.umask(0o777)
        os.mkdir("locked")
        (outputs / "a.txt").write_text("x")
        os.umask(0o022)
"""


@pytest.mark.parametrize("network", [False, True], ids=["model", "command"])
def test_modes_and_depths_of_what_a_function_leaves(
    tmp_path: Path, folder: Path, *, network: bool
) -> None:
    (folder / "locking.py").write_text(dedent(UNREADABLE))
    made = started(tmp_path, folder, "locking:lock", "{}", network=network)
    for _ in range(2):
        ((path, _),) = made.run([upload(tmp_path, "text")], ["a.txt"]).files
        assert path.read_text() == "x"
        path.unlink()
    made.close()
    assert list((tmp_path / "work").iterdir()) == []


def test_an_exception_refuses_the_job_and_its_traceback_is_in_the_log(
    pool: TransformPool, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as raised:
        pool.run([upload(tmp_path, "bad")], ["a.txt"])
    assert str(raised.value) == "Problem: cannot use it"
    assert "reading a.txt call 1" in raised.value.log
    assert 'describing.py", line 19, in describe' in raised.value.log
    assert pool.run([upload(tmp_path, "good")], ["b.txt"]).records


@pytest.mark.parametrize("network", [False, True], ids=["model", "command"])
def test_reasons_and_logs_do_not_have_the_job_s_folder(
    tmp_path: Path, folder: Path, *, network: bool
) -> None:
    code = """
        def run(source, outputs):
            print("reading", source, "for", outputs / "a.csv")
            (source / "page").read_text()
    """
    (folder / "paging.py").write_text(dedent(code))
    (tmp_path / "link").symlink_to(tmp_path)
    pool = started(tmp_path / "link", folder, "paging:run", "{}", network=network)
    with pytest.raises(InvalidInput) as raised:
        pool.run([upload(tmp_path, "text")], ["b.txt"])
    pool.close()
    assert str(raised.value) == "NotADirectoryError: [Errno 20] Not a directory: 'b.txt/page'"
    assert raised.value.log.startswith("reading b.txt for out/a.csv\n")
    assert raised.value.log.endswith(f"{raised.value}\n")


def test_an_import_error_refuses_the_job(tmp_path: Path, folder: Path) -> None:
    pool = started(tmp_path, folder, "broken:run", "{}")
    with pytest.raises(InvalidInput, match="broken cannot be imported: No module named 'missing_p"):
        pool.run([upload(tmp_path, "text")], ["a.txt"])
    pool.close()


def test_a_function_with_the_policy_command_may_start_programs(
    tmp_path: Path, folder: Path
) -> None:
    code = """
        import subprocess
        def count(source, outputs):
            print("counting")
            subprocess.run(["sh", "-c", 'wc -c < "$0" > "$1"', source, outputs / "count.txt"])
            return [{"name": source.name}]
    """
    (folder / "counting.py").write_text(dedent(code))
    pool = started(tmp_path, folder, "counting:count", "{}", network=True)
    made = pool.run([upload(tmp_path, "text")], ["a.txt"])
    pool.close()
    assert [(path.read_text().strip(), kind) for path, kind in made.files] == [("4", "text/plain")]
    assert list(made.records) == [{"name": "a.txt"}]
    assert made.log.splitlines()[0] == "counting"


def test_a_command_gets_all_inputs_of_a_run(tmp_path: Path, folder: Path) -> None:
    script = (
        "cd $1; find . -type f | sort; cat */* > $2/all.csv; echo '{{\"n\": 2}}' > $2/records.jsonl"
    )
    argv = ["sh", "-c", script, "sh", "{inputs}", "{outputs}"]
    pool = started(tmp_path, folder, "command", json.dumps({"argv": argv}))
    first, second = upload(tmp_path, "one\n"), tmp_path / "second"
    second.write_text("two\n")
    made = pool.run([first, second], ["logd/a b.csv", "logp/a b.csv"])
    pool.close()
    assert [(path.read_text(), kind) for path, kind in made.files] == [("one\ntwo\n", "text/csv")]
    assert list(made.records) == [{"n": 2}]
    lines = made.log.splitlines()
    assert lines[:2] == ["./logd/a b.csv", "./logp/a b.csv"]
    assert lines[-1].startswith("ended with status 0 after ")


def test_a_command_that_fails_is_refused_with_its_log(tmp_path: Path, folder: Path) -> None:
    argv = ["sh", "-c", "echo rows read: 12; printf 'no rows kept' >&2; exit 3"]
    pool = started(tmp_path, folder, "command", json.dumps({"argv": argv}))
    with pytest.raises(InvalidInput) as raised:
        pool.run([upload(tmp_path, "text")], ["a.txt"])
    pool.close()
    assert str(raised.value) == "its command ended with status 3"
    lines = raised.value.log.splitlines()
    assert lines[:2] == ["rows read: 12", "no rows kept"]
    assert lines[-1].startswith("ended with status 3 after ")
