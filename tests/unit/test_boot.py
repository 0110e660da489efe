"""Boot steps that `status` shows while a machine is not ready."""

import pytest

from cli.machines.boot import describe, unfinished_steps

WELL = "ActiveState=inactive SubState=dead Result=success NRestarts=0 "
ENDED = f"{WELL}ExecMainExitTimestampMonotonic=99"
NEVER = f"{WELL}ExecMainExitTimestampMonotonic=0"
AGAIN = (
    "ActiveState=activating SubState=auto-restart Result=exit-code NRestarts=2 "
    "ExecMainExitTimestampMonotonic=99"
)
AT_WORK = "ActiveState=activating SubState=start Result=success NRestarts=0 "
GOOD = '{"v1": {"datasource": "NoCloud", "errors": []}}'
BAD = '{"v1": {"errors": ["(\'scripts-user\', RuntimeError(\'Runparts: 1 failures\'))"]}}'


def text(cloud_init: str, install: str, migrate: str, worker: str, log: str = "") -> str:
    return (
        f"\n@step cloud-init\n{cloud_init}\n@step pipeline-install\n{install}\n{log}"
        f"@step pipeline-migrate\n{migrate}\n{log}@step pipeline-worker\n{worker}\n"
    )


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (text(GOOD, ENDED, ENDED, ENDED), []),
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
            ["pipeline-worker: failed (oom-kill)"],
        ),
    ],
)
def test_unfinished_steps_with_their_log(output: str, lines: list[str]) -> None:
    assert describe(unfinished_steps(output)) == lines
