"""Revisions that `./pipeline bench compare` checks out, and their settings' layouts."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.errors import RevisionUnusable
from bench.revision import Revision, checkout, require_committed, resolve
from bench.revision_pipeline import RevisionPipeline
from local.object_store import ObjectStore
from local.postgres import PostgreSQL


def git(repository: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", *identity, *words]
    answer = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return answer.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose worker needs no packages and takes every command."""
    path = tmp_path / "repository"
    (path / "worker").mkdir(parents=True)
    (path / "worker" / "__init__.py").write_text("")
    (path / "worker" / "__main__.py").write_text("")
    (path / "worker" / "requirements.txt").write_text("")
    git(path, "init", "--quiet")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "-m", "Add a worker")
    return path


def commit(repository: Path, name: str, content: str | None) -> None:
    path = repository / "worker" / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    git(repository, "commit", "--quiet", "-a", "-m", "Change the worker")


def test_a_checkout_runs_the_revision_and_goes_after_ctrl_c(
    repository: Path, tmp_path: Path
) -> None:
    commit(repository, "__main__.py", "print('new')")
    folder, cache = tmp_path / "checkout", tmp_path / "cache"
    with (
        pytest.raises(KeyboardInterrupt),
        checkout("HEAD~1", folder, repository, cache) as revision,
    ):
        assert resolve("HEAD~1", repository) == revision.commit
        command = [str(revision.python), "-m", "worker"]  # finds the package of its folder
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        assert answer.stdout == ""
        assert revision.python.is_relative_to(cache)
        raise KeyboardInterrupt
    assert not folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    # The next one finds the environment of the same packages.
    with checkout("HEAD", folder, repository, cache) as later:
        assert later.python == revision.python


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("requirements.txt", None, "has no worker/requirements.txt to install from"),
        ("requirements.txt", "./missing", "'HEAD' cannot be built: .*missing"),
        ("__main__.py", "raise SystemExit('no compiler')", "'HEAD' cannot be built: no compiler"),
    ],
)
def test_what_cannot_be_built_gets_one_sentence_and_leaves_nothing(
    repository: Path, tmp_path: Path, name: str, content: str | None, sentence: str
) -> None:
    commit(repository, name, content)
    folder, cache = tmp_path / "checkout", tmp_path / "cache"
    with (
        pytest.raises(RevisionUnusable, match=sentence) as error,
        checkout("HEAD", folder, repository, cache),
    ):
        pass
    assert "\n" not in str(error.value)
    assert not folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_uncommitted_changes_of_the_worker_are_refused(repository: Path) -> None:
    (repository / "notes.txt").write_text("of no worker")
    require_committed(repository)
    (repository / "worker" / "__main__.py").write_text("print('changed')")
    with pytest.raises(RevisionUnusable, match=r"1 uncommitted changes \(worker/__main__.py\)"):
        require_committed(repository)


@pytest.mark.parametrize(
    ("known", "bucket"),
    [
        ("stack machine grace_seconds empty_seconds store database pipelines", "pipelines"),
        ("stack machine store database pipelines", "pipelines"),
        ("pipeline transform machine store database", "store"),
    ],
)
def test_settings_are_written_as_the_revision_takes_them(
    tmp_path: Path, rclone: ObjectStore, database: PostgreSQL, known: str, bucket: str
) -> None:
    folder = tmp_path / "revision"
    (folder / "worker").mkdir(parents=True)
    (folder / "worker" / "__main__.py").write_text(
        "import sys, tomllib\n"
        "settings = tomllib.load(open(sys.argv[2], 'rb'))\n"
        f"sys.exit(2 * (set(settings) != set({known.split()})))\n"
    )
    revision = Revision("old", "1234567", folder, Path(sys.executable))
    with RevisionPipeline(tmp_path / "worker", revision, rclone, database) as pipeline:
        pipeline.migrate()
        pipeline.try_pass()
        settings = tomllib.loads(pipeline.settings.read_text())
        table = settings["store"] if bucket == "store" else settings["pipelines"]["negatives"]
        assert (table["input"], table["output"]) == (pipeline.input, pipeline.output)
        pipeline.s3.put_object(Bucket=pipeline.input, Key="left.jpg", Body=b"")
        with pytest.raises(RevisionUnusable, match=r"'old' .* `worker drain` failed"):
            pipeline.try_pass()


def test_settings_that_a_revision_refuses_get_one_sentence(
    tmp_path: Path, rclone: ObjectStore, database: PostgreSQL
) -> None:
    folder = tmp_path / "revision"
    (folder / "worker").mkdir(parents=True)
    refusal = "import sys\nprint('x is not a setting.', file=sys.stderr)\nsys.exit(2)\n"
    (folder / "worker" / "__main__.py").write_text(refusal)
    revision = Revision("old", "1234567", folder, Path(sys.executable))
    with (
        RevisionPipeline(tmp_path / "worker", revision, rclone, database) as pipeline,
        pytest.raises(RevisionUnusable, match=r"`worker migrate` failed: x is not a setting\.$"),
    ):
        pipeline.migrate()
