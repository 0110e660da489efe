"""The confirmation before data is removed."""

import click

from cli.errors import CommandError


def confirm_stack(stack: str) -> None:
    """Have the user type the stack's name.

    Raises:
        CommandError: Something else was typed.
    """
    what = f"All uploads, results and the database of '{stack}' will be deleted."
    _confirm(f"{what} Type the stack's name", stack)


def confirm_pipeline(pipeline: str) -> None:
    """Have the user type the pipeline's name.

    Raises:
        CommandError: Something else was typed.
    """
    what = f"The next 'up' will delete all uploads and results of pipeline '{pipeline}'."
    _confirm(f"{what} Type the pipeline's name", pipeline)


def _confirm(question: str, name: str) -> None:
    typed = click.prompt(question, default="", show_default=False, err=True).strip()
    if typed != name:
        raise CommandError(f"'{typed}' is not '{name}': nothing was removed (scripts pass --yes).")
