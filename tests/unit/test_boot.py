"""Boot steps that `status` shows while a machine is not ready."""

import os
import subprocess
from pathlib import Path

import pytest

from cli.machines.boot import SCRIPT, describe, unfinished_steps

WELL = "ActiveState=inactive SubState=dead Result=success NRestarts=0 "
ENDED = f"{WELL}ExecMainExitTimestampMonotonic=99"
NEVER = f"{WELL}ExecMainExitTimestampMonotonic=0"
AGAIN = (
    "ActiveState=activating SubState=auto-restart Result=exit-code NRestarts=2 "
    "ExecMainExitTimestampMonotonic=99"
)
AT_WORK = "ActiveState=activating SubState=start Result=success NRestarts=0 "
GOOD = '{"v1": {"datasource": "NoCloud", "errors": []}}'
SYSTEMCTL = f"""#!/bin/sh
case "$*" in
    list-units*) echo "pipeline-worker@negatives.service loaded inactive dead One pass"
                 echo "pipeline-worker@thumbs.service loaded failed failed One pass"
                 case "$*" in *pipeline-prepare@*)
                     echo "pipeline-prepare@thumbs.service loaded activating auto-restart x" ;;
                 esac ;;
    *prepare*) echo "{AGAIN}" ;;
    *thumbs*) echo "{ENDED.replace("success", "exit-code")}" ;;
    *) echo "{ENDED}" ;;
esac
"""
BAD = '{"v1": {"errors": ["(\'scripts-user\', RuntimeError(\'Runparts: 1 failures\'))"]}}'


def text(cloud_init: str, install: str, migrate: str, worker: str, log: str = "") -> str:
    return (
        f"\n@step cloud-init\n{cloud_init}\n@step pipeline-install\n{install}\n{log}"
        f"@step pipeline-migrate\n{migrate}\n{log}@step pipeline-worker@negatives\n{worker}\n"
        f"@step pipeline-worker@thumbs\n{ENDED}\n"
    )


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (text(GOOD, ENDED, ENDED, ENDED), []),
        (text(GOOD, ENDED, ENDED, AT_WORK), ["pipeline-worker@negatives: running"]),
        ("", []),  # no answer
        (
            text("", NEVER, NEVER, NEVER),
            ["cloud-init: running"],
        ),
        (
            text(BAD, NEVER, NEVER, NEVER),
            ["cloud-init: failed: ('scripts-user', RuntimeError('Runparts: 1 failures'))"],
        ),
        (text(GOOD, AT_WORK, NEVER, NEVER), ["pipeline-install: running"]),
        (
            text(GOOD, AGAIN, NEVER, NEVER, "ERROR: no such package\n"),
            [
                "pipeline-install: failed (exit-code), 3 tries so far; retrying",
                "    ERROR: no such package",
            ],
        ),
        (
            text(GOOD, ENDED, AGAIN, NEVER, "the database refuses\n"),
            [
                "pipeline-migrate: failed (exit-code), 3 tries so far; retrying",
                "    the database refuses",
            ],
        ),
        (
            text(GOOD, ENDED, ENDED, ENDED.replace("success", "oom-kill")),
            ["pipeline-worker@negatives: failed (oom-kill)"],
        ),
    ],
)
def test_unfinished_steps_with_their_log(output: str, lines: list[str]) -> None:
    assert describe(unfinished_steps(output)) == lines


def test_script_asks_for_every_pipelines_unit(tmp_path: Path) -> None:
    """Of two pipelines: a pass of one of them failed, as does its preparation."""
    (tmp_path / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (tmp_path / "journalctl").write_text('#!/bin/sh\necho "of $4"\n', encoding="utf-8")
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh"], input=SCRIPT, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert describe(unfinished_steps(done.stdout))[1:] == [
        "pipeline-worker@thumbs: failed (exit-code)",
        "    of _SYSTEMD_UNIT=pipeline-worker@thumbs.service",
        "pipeline-prepare@thumbs: failed (exit-code), 3 tries so far; retrying",
        "    of _SYSTEMD_UNIT=pipeline-prepare@thumbs.service",
    ]
