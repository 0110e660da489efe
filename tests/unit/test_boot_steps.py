"""What `status` makes of the words of a machine that is not up yet."""

import pytest

from cli.machines.boot_steps import obstacles, sentences

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


def text(cloud_init: str, install: str, migrate: str, worker: str, said: str = "") -> str:
    return (
        f"\n@step cloud-init\n{cloud_init}\n@step pipeline-install\n{install}\n{said}"
        f"@step pipeline-migrate\n{migrate}\n{said}@step pipeline-worker\n{worker}\n"
    )


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        (text(GOOD, ENDED, ENDED, ENDED), []),
        ("", []),  # no answer
        (
            text("", NEVER, NEVER, NEVER),
            ["cloud-init: still at work"],
        ),
        (
            text(BAD, NEVER, NEVER, NEVER),
            ["cloud-init: failed: ('scripts-user', RuntimeError('Runparts: 1 failures'))"],
        ),
        (text(GOOD, AT_WORK, NEVER, NEVER), ["pipeline-install: at work"]),
        (
            text(GOOD, AGAIN, NEVER, NEVER, "ERROR: no such package\n"),
            [
                "pipeline-install: failed (exit-code), 3 tries so far; is tried again",
                "    ERROR: no such package",
            ],
        ),
        (
            text(GOOD, ENDED, AGAIN, NEVER, "the database refuses\n"),
            [
                "pipeline-migrate: failed (exit-code), 3 tries so far; is tried again",
                "    the database refuses",
            ],
        ),
        (
            text(GOOD, ENDED, ENDED, ENDED.replace("success", "oom-kill")),
            ["pipeline-worker: failed (oom-kill)"],
        ),
    ],
)
def test_status_names_the_step_and_its_words(told: str, lines: list[str]) -> None:
    assert sentences(obstacles(told)) == lines
