"""Bad settings: all problems at once, one sentence each, exit status 2."""

import re
from pathlib import Path

import pytest

from local.machine.process import units
from tests.worker.pipeline import ROOT, Pipeline

COMMANDS = ("drain", "migrate", "log", "status")
_INPUT = 'input = "'


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        ('machine = "vm-1"', "", ["machine is missing: set it."]),
        ('machine = "vm-1"', "machine = 7", ["machine is 7: it must be text in quotes."]),
        ('machine = "vm-1"', 'machine = ""', ["machine is empty: set it."]),
        (
            "grace_seconds = 0",
            "grace_seconds = -1",
            ["grace_seconds is -1: it must be from 0 to 3600."],
        ),
        ("port = ", 'port = "x" #', ["database.port is 'x': it must be a whole number."]),
        ("port = ", "port = 0 #", ["database.port is 0: it must be from 1 to 65535."]),
        ("port = ", "port = true #", ["database.port is True: it must be a whole number."]),
        ('"disable"', '"maybe"', ["database.sslmode is 'maybe': choose one of disable, "]),
        ("http://", "ftp://", ["it must begin with https:// or http://."]),
        (
            ".limits]",
            ".limits]\npixels = -1",
            ["negatives.limits.pixels is -1: it must be above "],
        ),
        (".limits]", ".limits]\npixel = 1", ["limits.pixel is not a setting: remove it or "]),
        (".limits]", ".limit]", ["pipelines.negatives.limit is not a setting: remove it or "]),
        (
            "[pipelines.negatives]",
            "[[pipelines.negatives]]",
            ["negatives must be a table: write [pipel"],
        ),
        (_INPUT, 'inputs = "', ["negatives.inputs is not a", "negatives.input is missing: set it"]),
        (_INPUT, f"keep_inputs = 1\n{_INPUT}", ["keep_inputs is 1: it must be true or false."]),
        (
            _INPUT,
            f"keep_inputs = true\n{_INPUT}",
            ["keep_inputs needs a bucket: set store."],
        ),
        (
            _INPUT,
            f'ignore = "x"\n{_INPUT}',
            ["negatives.ignore is 'x': it must be a list of "],
        ),
        (
            _INPUT,
            f'gather = true\nfolder = {{ key = "x" }}\n{_INPUT}',
            ["gather needs pipelines to gather from: set", "folder needs both: set key and sha2"],
        ),
        (_INPUT, f'apt = "vim"\n{_INPUT}', ["negatives.apt is 'vim': it must be a list of texts."]),
        (
            _INPUT,
            f'readers = ["x"]\n{_INPUT}',
            ["readers names 'x': there is no table ["],
        ),
        (_INPUT, f'parameters = "[]"\n{_INPUT}', ["parameters must be a JSON object as text."]),
        ("[store]", "[[store]]", ["store must be a table: write [store]."]),
        ("[store]", "[store", ["are not TOML"]),
        ("-output", "-input", ["pipelines.negatives.output must be different buckets"]),
        (
            'stack = "',
            'colour = "red"\nstac = "',
            ["colour is not a setting", "stac is not a setting", "stack is missing"],
        ),
    ],
)
def test_each_problem_is_reported(
    idle: Pipeline, command: str, old: str, new: str, sentences: list[str]
) -> None:
    text = idle.settings.read_text()
    assert old in text
    idle.settings.write_text(text.replace(old, new, 1))
    done = idle.run(command)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == len(sentences)
    for sentence in sentences:
        assert any(sentence in line for line in lines)


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("drain", ["database-password", "s3-access-key", "s3-secret-key"]),
        ("status", ["database-password", "s3-access-key", "s3-secret-key"]),
        ("log", ["database-password"]),
        ("migrate", ["database-admin-password"]),
    ],
)
def test_all_missing_credentials_are_reported(
    idle: Pipeline, command: str, needed: list[str]
) -> None:
    for path in (idle.folder / "credentials").iterdir():
        path.unlink()
    done = idle.run(command)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == len(needed)
    for name, line in zip(needed, sorted(lines), strict=True):
        assert f"/{name} is missing, empty or not readable: write it there." in line


@pytest.mark.parametrize("unit", ["pipeline-migrate.service", "pipeline-worker@.service"])
def test_units_load_what_their_command_needs_and_no_more(idle: Pipeline, unit: str) -> None:
    text = (ROOT / "cloud-init" / unit).read_text()
    command = [word.replace("%i", "negatives") for word in units.worker_arguments(text)]
    needed: set[str] = set()
    for has_certificate in (False, True):
        idle.configure(database={"client_certificate": has_certificate})
        for path in (idle.folder / "credentials").iterdir():
            path.unlink()
        printed = idle.run(*command).stderr
        needed.update(re.findall(r"The credential \S+/(\S+) is missing", printed))
    assert needed
    assert set(units.credentials(text)) == needed


def test_missing_settings_file(idle: Pipeline) -> None:
    idle.settings.unlink()
    done = idle.run("drain")
    assert done.returncode == 2
    assert done.stderr.endswith("(No such file or directory): give their path with --settings.\n")


def test_folders_from_the_environment(idle: Pipeline, tmp_path: Path) -> None:
    """The variables CREDENTIALS_DIRECTORY and STATE_DIRECTORY are set by systemd."""
    secrets, state = tmp_path / "secrets", tmp_path / "var"
    (idle.folder / "credentials").rename(secrets)
    idle.environment = {"CREDENTIALS_DIRECTORY": str(secrets), "STATE_DIRECTORY": str(state)}
    idle.migrate()
    idle.drain()
    assert (state / "lock").exists()
    assert not (idle.folder / "state").exists()
