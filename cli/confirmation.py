"""The confirmation before data is removed."""

import click

from cli.errors import CommandError


def confirm_stack(stack: str) -> None:
    """Have the user type the stack's name.

    Raises:
        CommandError: Something else was typed.
    """
    typed = click.prompt(
        f"All uploads, results and the database of '{stack}' will be deleted. Type the stack's "
        "name",
        default="",
        show_default=False,
        err=True,
    )
    if typed.strip() != stack:
        raise CommandError(
            f"'{typed.strip()}' is not '{stack}': nothing was removed (scripts pass --yes)."
        )
