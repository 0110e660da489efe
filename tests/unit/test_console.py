"""Lines of a console log: coloured by systemd, and not to be interpreted by a terminal."""

from cli.machines.ssh_host import relevant_lines

PAINTED = (
    "\x1b[0m[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mcloud-init.service\x1b[0m - Metadata.\r\n"
    "M\x1b[K[   83.9] login: \x1b]0;title\x07pipeline-install failed\x1b(B\x07\n"
)


def test_escape_sequences_are_removed() -> None:
    assert relevant_lines(PAINTED) == [
        "[  OK  ] Started cloud-init.service - Metadata.",
        "M[   83.9] login: pipeline-install failed",
    ]


def test_without_relevant_lines_the_last_lines() -> None:
    assert relevant_lines("\x1b[1;1H\n\x1b[31mKernel\x1b[0m\n") == ["Kernel"]
