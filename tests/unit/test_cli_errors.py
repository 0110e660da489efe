"""Wrong arguments and local faults: one sentence with the thing, the value and the remedy."""

import pytest

from cli.engine.find import is_new_enough, pulumi_root
from tests.checkout import PROJECT, Checkout, copy_project, environment
from worker.errors import PipelineError


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy with nothing deployed, and two files of the same name."""
    base = tmp_path_factory.mktemp("cli")
    folder = base / "project"
    folder.mkdir()
    copy_project(folder)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "cat.jpg").write_bytes(b"")
    return Checkout(folder, environment(base, base))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["up", "--stack", "prod"], ["'prod'", "./pipeline init prod"]),
        (["put", "missing.jpg"], ["'missing.jpg'", "name an existing one"]),
        (["put", "a/cat.jpg", "b/cat.jpg"], ["a/cat.jpg", "b/cat.jpg", "rename"]),
        (["get", "cat.jpg", "--folder", "nowhere"], ["'nowhere'", "create it first"]),
        (["demo", "missing.jpg"], ["'missing.jpg'"]),
        (["demo", "--example", "nothing"], ["'nothing'", "choose one of", "cpsign"]),
        (["demo", "--example", "cpsign", "a/cat.jpg"], ["its own data", "leave out FILES"]),
        (["log"], ["The local stack is not deployed", "./pipeline up"]),
        (["status", "--json"], ["The local stack is not deployed", "./pipeline up"]),
        (["refresh"], ["The local stack is not deployed", "./pipeline up"]),
        (["outputs"], ["The local stack is not deployed", "./pipeline up"]),
    ],
)
def test_a_wrong_command_is_one_sentence(
    words: list[str], expected: list[str], checkout: Checkout
) -> None:
    answer = checkout.pipeline(*words, code=None)
    assert answer.returncode != 0
    sentence = answer.stderr.strip()
    assert len(sentence.splitlines()) == 1, sentence
    for text in expected:
        assert text in sentence


@pytest.mark.parametrize(
    "words",
    [["web"], ["web", "--token"], ["edge-kit", "door", "--out", "kit"], ["rotate", "keys"]],
)
def test_what_was_interrupted_before_a_deployment_needs_no_engine(
    words: list[str], checkout: Checkout
) -> None:
    (checkout.folder / ".local").mkdir(exist_ok=True)
    answer = checkout.pipeline(*words, code=1)
    (sentence,) = answer.stderr.strip().splitlines()
    assert "The local stack is not deployed: './pipeline up' deploys it." in sentence
    (checkout.folder / ".local").rmdir()  # and nothing was started


@pytest.mark.parametrize(
    "words",
    [["get"], ["log", "--like"], ["sql"], ["put", "a", "--prefix"], ["demo"], ["init"]],
)
def test_arguments_that_are_not_utf_8_are_refused(words: list[str], checkout: Checkout) -> None:
    name = "caf\udce9.jpg"
    (checkout.folder / name).touch()
    answer = checkout.pipeline(*words, name, code=None)
    assert answer.returncode != 0
    assert "is not UTF-8" in answer.stderr


@pytest.mark.parametrize("words", [["up"], ["preview"]])
def test_a_file_in_place_of_a_folder_is_one_sentence(words: list[str], checkout: Checkout) -> None:
    file = checkout.folder / ".local"
    file.touch()
    answer = checkout.pipeline(*words, code=1)
    file.unlink()
    assert answer.stderr == f"pipeline: '{file}': File exists; remove it or name another.\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("sttaus", "status"), ("check-stor", "check-store"), ("rotate tokens", "upload-token")],
)
def test_a_misspelt_command_gets_a_suggestion(typed: str, meant: str, checkout: Checkout) -> None:
    assert (
        f"No such command '{typed.rsplit(maxsplit=1)[-1]}'. Did you mean '{meant}'?"
        in checkout.pipeline(*typed.split(), code=None).stderr
    )


def test_destroy_succeeds_if_nothing_is_deployed(checkout: Checkout) -> None:
    assert "nothing to take down" in checkout.pipeline("destroy").stdout


@pytest.mark.parametrize(
    ("version", "usable"),
    [
        ("v3.259.0", True),
        ("v3.300.1", True),
        ("v4.0.0", True),
        ("v3.258.9", False),
        ("v2.25.0", False),
        ("", False),
        ("v3.259.0-alpha.1", True),
    ],
)
def test_an_old_pulumi_is_not_used(version: str, usable: bool) -> None:
    assert is_new_enough(version) is usable


def test_a_cache_that_cannot_be_created_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setenv("PATH", "")  # no Pulumi there
    with pytest.raises(PipelineError, match=r"/dev/null/image-pipeline .* set XDG_CACHE_HOME"):
        pulumi_root()
