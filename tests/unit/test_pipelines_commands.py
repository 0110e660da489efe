"""`./pipeline pipelines` on the settings of stacks that are not deployed."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import PROJECT, Checkout, copy_project, environment

LAB = """\
# The lab's stack.
config:
  image-pipeline:computeCloud: "lab"   # the entry
  image-pipeline:flavor: 'standard.tiny'
  # Secrets.
  image-pipeline:s3SecretKey:
    secure: v1:abc==

  # Data are kept.
  image-pipeline:protectData: true
encryptionsalt: v1:salt
"""
WRITTEN = """\
  image-pipeline:pipelines:
    negatives:
      transform: negate
    thumbs:
      transform: thumbnail
      from: negatives
      parameters:
        width: 300
        crop: true
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    base = tmp_path_factory.mktemp("cli")
    folder = base / "project"
    folder.mkdir()
    copy_project(folder)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    record = base / ".local/share/image-pipeline/stacks/lab/stack.json"
    record.parent.mkdir(parents=True)
    (base / "passphrase").write_text("x")
    state = {"backend": f"file://{base}/state", "passphrase_file": str(base / "passphrase")}
    record.write_text(json.dumps(state))
    return Checkout(folder, environment(base, base))


@pytest.fixture
def checkout(copy: Checkout) -> Iterator[Checkout]:
    """A copy with nothing deployed, a stack `lab` and files with definitions."""
    (copy.folder / "Pulumi.lab.yaml").write_text(LAB)
    yield copy
    local(copy).unlink(missing_ok=True)


def local(checkout: Checkout) -> Path:
    return checkout.folder / "pipelines.local.yaml"


def defined(checkout: Checkout) -> Any:
    """The local stack's file."""
    return yaml.safe_load(local(checkout).read_text())


def write(checkout: Checkout, text: str, name: str = "new.yaml") -> str:
    (checkout.folder / name).write_text(text)
    return name


def refused(checkout: Checkout, *words: str) -> str:
    """Run a command that fails; return its message. Nothing has changed."""
    before = local(checkout).read_text() if local(checkout).exists() else None
    answer = checkout.pipeline("pipelines", *words, code=None)
    assert answer.returncode != 0
    assert before == (local(checkout).read_text() if local(checkout).exists() else None)
    return answer.stderr.strip()


CREATE = (
    *("pipelines", "create", "thumbs", "--transform", "thumbnail", "--from", "negatives"),
    *("--parameter", "width=300", "--parameter", "crop=true"),
)


def test_pipeline_of_a_cloud_stack_is_added_below_its_settings(checkout: Checkout) -> None:
    file = checkout.folder / "Pulumi.lab.yaml"
    file.chmod(0o640)
    printed = checkout.pipeline(*CREATE, "--stack", "lab").stdout
    assert "Created in Pulumi.lab.yaml: thumbs. './pipeline up --stack lab' applies it" in printed
    head, rest = LAB.split("encryptionsalt")
    assert file.read_text() == f"{head}{WRITTEN}encryptionsalt{rest}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path for path in checkout.folder.iterdir() if path.name.startswith(".Pulumi")] == []


def test_local_pipelines_are_in_a_file_that_git_ignores(checkout: Checkout) -> None:
    before = (checkout.folder / "Pulumi.local.yaml").read_text()
    checkout.pipeline(*CREATE)
    thumbs = {
        "transform": "thumbnail",
        "from": "negatives",
        "parameters": {"width": 300, "crop": True},
    }
    assert defined(checkout) == {"negatives": {"transform": "negate"}, "thumbs": thumbs}
    assert (checkout.folder / "Pulumi.local.yaml").read_text() == before
    assert "/pipelines.local.yaml" in (PROJECT / ".gitignore").read_text().splitlines()


def test_list_shows_what_is_to_be_created(checkout: Checkout) -> None:
    [only] = checkout.json("pipelines", "list")
    assert (only["name"], only["transform"], only["state"]) == (
        "negatives",
        "negate",
        "to be created",
    )
    checkout.pipeline(*CREATE)
    _, thumbs = checkout.json("pipelines", "list")
    assert (thumbs["name"], thumbs["from"]) == ("thumbs", ["negatives"])
    table = checkout.pipeline("pipelines", "list").stdout
    assert ["thumbs", "thumbnail", "negatives", "to", "be", "created"] in [
        line.split() for line in table.splitlines()
    ]


def test_function_and_command_are_created_with_their_folder(checkout: Checkout) -> None:
    """A folder in the checkout is relative to it in the settings, wherever the command runs."""
    own = checkout.folder / "own"
    own.mkdir(exist_ok=True)
    (own / "pictures.py").write_text("def small(source, outputs, *, size: int): ...\n")
    elsewhere = Path(checkout.environment["HOME"]) / "tool"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "run").write_text("")
    checkout.pipeline(
        *("pipelines", "create", "small", "--transform", "pictures:small", "--folder", "own"),
        *("--parameter", "size=64"),
    )
    command = ["create", "tool", "--transform", "command", "--folder", str(elsewhere)]
    argv = 'argv=["{folder}/run", "{inputs}", "{outputs}"]'
    assert "pipelines.tool.parameters.argv has {folder}/run as its program" in refused(
        checkout, *command, "--parameter", argv
    )
    (elsewhere / "run").chmod(0o755)
    checkout.pipeline("pipelines", *command, "--parameter", argv, "--from", "small")
    made = defined(checkout)
    assert made["small"] == {
        "transform": "pictures:small",
        "parameters": {"size": 64},
        "folder": "own",
    }
    assert made["tool"]["folder"] == str(elsewhere)
    assert made["tool"]["parameters"] == {"argv": ["{folder}/run", "{inputs}", "{outputs}"]}
    printed = refused(checkout, "create", "b", "--transform", "pictures:large", "--folder", "own")
    assert "pipelines.b.transform is pictures:large, but pictures.py defines no" in printed
    assert "FOLDER" in checkout.pipeline("pipelines", "create", "--help").stdout


def test_list_shows_all_keys_and_no_secret(checkout: Checkout) -> None:
    definition = (
        "{transform: command, from: [negatives], gather: true, apt: [vim-tiny], network: true,"
        " allow: [192.0.2.0/24], secrets: [token], limits: {seconds: 900}, keepInputs: true,"
        " parameters: {argv: [cat], values: {token: {secure: v1:abc}}}}"
    )
    local(checkout).write_text(f"negatives: {{transform: negate}}\na: {definition}\n")
    _, found = checkout.json("pipelines", "list")
    expected = {
        "name": "a",
        "transform": "command",
        "from": ["negatives"],
        "gather": True,
        "apt": ["vim-tiny"],
        "network": True,
        "allow": ["192.0.2.0/24"],
        "secrets": ["token"],
        "folder": "",
        "limits": {"seconds": 900},
        "keepInputs": True,
        "outputKey": "",
        "parameters": {"argv": ["cat"], "values": {"token": "[secret]"}},
        "state": "to be created",
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new.yaml", "a: {transform: copy}\nb:\n  transform: copy\n  from: [a, negatives]\n"),
        (
            "stack.yaml",
            "image-pipeline:pipelines:\n  a: {transform: copy}\n"
            "  b: {transform: copy, from: [a, negatives]}\n",
        ),
        (
            "new.json",
            '{\n\t"a": {"transform": "copy"},\n'
            '\t"b": {"transform": "copy", "from": ["a", "negatives"]}\n}\n',
        ),
    ],
)
def test_several_are_created_from_a_file(name: str, text: str, checkout: Checkout) -> None:
    checkout.pipeline("pipelines", "create", "-f", write(checkout, text, name))
    assert defined(checkout) == {
        "negatives": {"transform": "negate"},
        "a": {"transform": "copy"},
        "b": {"transform": "copy", "from": ["a", "negatives"]},
    }


def test_update_replaces_one_definition_and_keeps_comments(checkout: Checkout) -> None:
    checkout.pipeline(*CREATE)
    text = local(checkout).read_text().replace("width: 300", "width: 300  # pixels")
    local(checkout).write_text(text + "# the end\n")
    new = "thumbs: {transform: thumbnail, parameters: {width: 200, height: 100}}"
    checkout.pipeline("pipelines", "update", "-f", write(checkout, new))
    assert "    width: 200  # pixels\n" in local(checkout).read_text()
    assert local(checkout).read_text().endswith("# the end\n")
    assert defined(checkout)["thumbs"] == yaml.safe_load(new)["thumbs"]


def test_deleted_pipeline_is_gone_from_the_settings(checkout: Checkout) -> None:
    checkout.pipeline("pipelines", "create", "a", "--transform", "copy")
    before = local(checkout).read_text()
    checkout.pipeline("pipelines", "create", "b", "--transform", "copy")
    printed = checkout.pipeline("pipelines", "delete", "b").stdout
    assert "Deleted in pipelines.local.yaml: b. './pipeline up' applies it" in printed
    assert local(checkout).read_text() == before


def test_created_pipeline_is_no_longer_to_be_deleted(checkout: Checkout) -> None:
    text = "negatives: {transform: negate}\ndeletePipelineData: [a, b]\n"
    local(checkout).write_text(text)
    checkout.pipeline("pipelines", "create", "a", "--transform", "copy")
    assert defined(checkout)["deletePipelineData"] == ["b"]
    checkout.pipeline("pipelines", "create", "b", "--transform", "copy")
    assert list(defined(checkout)) == ["negatives", "a", "b"]


def test_pipeline_of_a_camera_stays(checkout: Checkout) -> None:
    mqtt = "image-pipeline:mqtt: {cidrs: [192.0.2.0/24], cameras: {door: {pipeline: b}}}  # mine\n"
    text = f"a: {{transform: copy}}\nb: {{transform: copy}}\n{mqtt}"
    local(checkout).write_text(text)
    refused = checkout.pipeline("pipelines", "delete", "b", code=1).stderr
    assert "mqtt.cameras.door.pipeline is 'b', which is not a pipeline: name one of a." in refused
    assert local(checkout).read_text() == text
    checkout.pipeline("pipelines", "delete", "a")
    assert local(checkout).read_text() == f"b: {{transform: copy}}\n{mqtt}"
    assert [row["name"] for row in checkout.json("pipelines", "list")] == ["b"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["create", "a"], "either -f FILE, or NAME and --transform TRANSFORM"),
        (["create"], "either -f FILE, or NAME and --transform TRANSFORM"),
        (["create", "a", "--transform", "copy", "--parameter", "x"], "write KEY=VALUE"),
        (
            ["create", "a", "--transform", "copy", "--parameter", "x=[1"],
            "--parameter x, line 1, column 3",
        ),
        (["create", "negatives", "--transform", "copy"], "'negatives' exists already"),
        (["create", "-f", "missing.yaml"], "'missing.yaml': No such file or directory"),
        (["update"], "-f FILE"),
        (["delete", "x"], "has no pipeline 'x' (it has negatives): './pipeline pipelines create'"),
        (["delete", "negatives"], "the only one of the stack"),
        (["delete", "negatives", "--stack", "none"], "'none' is not known"),
        (["delte", "negatives"], "No such command 'delte'"),
    ],
)
def test_wrong_command_is_one_sentence(words: list[str], expected: str, checkout: Checkout) -> None:
    printed = refused(checkout, *words)
    assert expected in printed
    assert len(printed.splitlines()) == 1 or printed.startswith("Usage")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {transform: copy", "new.yaml, line 1, column 20"),
        ("a: 1\na: 2\n", "new.yaml, line 2, column 1: a is set twice"),
        ("- a\n", "new.yaml, line 1, column 1: the file must be a mapping"),
        ("", "new.yaml defines no pipeline"),
    ],
)
def test_malformed_file_is_one_sentence(text: str, expected: str, checkout: Checkout) -> None:
    printed = refused(checkout, "create", "-f", write(checkout, text))
    assert expected in printed
    assert len(printed.splitlines()) == 1


def test_pipeline_that_others_read_is_not_deleted(checkout: Checkout) -> None:
    checkout.pipeline(*CREATE)
    assert "'negatives' is read by thumbs (from)" in refused(checkout, "delete", "negatives")
    new = write(checkout, "negatives: {transform: copy}\nthumbs: {transform: copy}\n")
    checkout.pipeline("pipelines", "update", "-f", new)
    checkout.pipeline("pipelines", "delete", "negatives")
    assert list(defined(checkout)) == ["thumbs"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {transform: negat}", ["pipelines.a.transform is 'negat'", "negate"]),
        ("a: {transfrom: copy}", ["pipelines.a.transfrom is not a known key", "transform?"]),
        ("a: {transform: copy, from: b}", ["pipelines.a.from is 'b'", "name one of negatives."]),
        ("a: {transform: copy, from: a}", ["pipelines.a.from leads back to a"]),
        ("A: {transform: copy}", ["pipelines.A is not a name"]),
        ("a: {transform: copy, outputKey: x}", ["pipelines.a.outputKey is 'x' without {name}"]),
        (
            "a: {transform: thumbnail, parameters: {width: wide}}",
            ["pipelines.a.parameters.width is 'wide'"],
        ),
        ("a: 1", ["pipelines.a is 1: set it to a map"]),
    ],
)
def test_bad_definition_is_refused_before_it_is_written(
    text: str, expected: list[str], checkout: Checkout
) -> None:
    printed = refused(checkout, "create", "-f", write(checkout, text))
    for words in expected:
        assert words in printed


def test_all_faults_are_named_at_once(checkout: Checkout) -> None:
    text = "a: {transform: negat}\nb: {transform: copy, gather: 3}\n"
    assert len(refused(checkout, "create", "-f", write(checkout, text)).splitlines()) == 2


def test_secret_of_a_definition_stays(checkout: Checkout) -> None:
    file = checkout.folder / "Pulumi.lab.yaml"
    checkout.pipeline(*CREATE, "--stack", "lab")
    text = file.read_text().replace("crop: true", "crop: {secure: v1:x==}")
    file.write_text(text)
    checkout.pipeline("pipelines", "create", "b", "--transform", "copy", "--stack", "lab")
    added = "    b:\n      transform: copy\n"
    assert file.read_text() == text.replace("encryptionsalt", f"{added}encryptionsalt")


def test_settings_of_an_older_version_are_refused_with_what_to_write(checkout: Checkout) -> None:
    file = checkout.folder / "Pulumi.lab.yaml"
    text = file.read_text().replace("config:\n", "config:\n  image-pipeline:inputBucket: mine\n")
    file.write_text(text)
    printed = checkout.pipeline(*CREATE, "--stack", "lab", code=1).stderr
    assert "pipelines: {negatives: {transform: negate, inputBucket: mine}}" in printed
    assert file.read_text() == text


def test_unknown_pipeline_is_not_updated(checkout: Checkout) -> None:
    new = write(checkout, "a: {transform: copy}")
    assert "has no pipeline 'a'" in refused(checkout, "update", "-f", new)


@pytest.mark.parametrize("command", [["up"], ["pipelines", "list"], ["preview"]])
def test_malformed_local_file_is_one_sentence(command: list[str], checkout: Checkout) -> None:
    local(checkout).write_text("a: {transform: copy\n")
    printed = checkout.pipeline(*command, code=1).stderr.strip()
    assert "pipelines.local.yaml, line 2, column 1" in printed
    assert len(printed.splitlines()) == 1
    assert not (checkout.folder / ".local").exists()
