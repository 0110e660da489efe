"""What a console log tells: systemd paints it, and a terminal shall not do what a guest wrote."""

from cli.machines.console import telling

PAINTED = (
    "\x1b[0m[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mcloud-init.service\x1b[0m - Metadata.\r\n"
    "M\x1b[K[   83.9] login: \x1b]0;title\x07pipeline-install failed\x1b(B\x07\n"
)


def test_escape_sequences_are_left_out() -> None:
    assert telling(PAINTED) == [
        "[  OK  ] Started cloud-init.service - Metadata.",
        "M[   83.9] login: pipeline-install failed",
    ]


def test_without_a_telling_line_the_last_ones() -> None:
    assert telling("\x1b[1;1H\n\x1b[31mKernel\x1b[0m\n") == ["Kernel"]
