"""Questions to a person; a script answers them by options and defaults."""

import sys
from collections.abc import Sequence

import click

from cli.errors import CommandError
from cli.terminal import print_progress, visible

_MOST_LISTED = 12


class Prompt:
    """Takes an option's value if it was given, else asks on a terminal, else takes the default.

    Attributes:
        interactive: Whether a user can be asked; by default, whether stdin is a terminal.
    """

    def __init__(self, *, interactive: bool | None = None) -> None:
        self.interactive = sys.stdin.isatty() if interactive is None else interactive

    def text(self, given: str | None, option: str, question: str, default: str = "") -> str:
        """Return any text.

        Args:
            given: The option's value, None if it was not given.
            option: The option's name.
            question: What to ask.
            default: The answer to Enter; "" for none.

        Raises:
            CommandError: There is neither a terminal nor a default.
        """
        if given is not None:
            return given.strip()
        if self.interactive:
            return _ask(question, default)
        if not default:
            raise CommandError(f"{option} is missing and there is no terminal to ask on: give it.")
        return default

    def choice(
        self,
        given: str | None,
        option: str,
        question: str,
        choices: Sequence[str],
        default: str = "",
    ) -> str:
        """Return one of `choices`; the only one without asking.

        Args:
            given: The option's value, None if it was not given.
            option: The option's name.
            question: What to ask.
            choices: What there is.
            default: The answer to Enter, if it is among them.

        Raises:
            CommandError: `given` is not among them, or there is neither a terminal nor a default.
        """
        if given is not None:
            if given not in choices:
                raise CommandError(
                    f"{option} is '{given}', which does not exist: choose one of {listed(choices)}."
                )
            return given
        if len(choices) == 1:
            print_progress(f"{question}: {choices[0]}, the only one.")
            return choices[0]
        preferred = default if default in choices else ""
        if not self.interactive:
            if not preferred:
                raise CommandError(f"{option} is missing: choose one of {listed(choices)}.")
            return preferred
        return self._pick(question, choices, preferred)

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no, the default without a terminal."""
        return click.confirm(question, default=default, err=True) if self.interactive else default

    def _pick(self, question: str, choices: Sequence[str], preferred: str) -> str:
        """Let a person choose by number or by name."""
        print_progress(f"{question}:")
        for number, name in enumerate(choices, 1):
            print_progress(f"  {number:2}  {name}")
        while True:
            typed = _ask("Number or name", preferred)
            if typed in choices:
                return typed
            if typed.isdigit() and 1 <= int(typed) <= len(choices):
                return choices[int(typed) - 1]
            print_progress(f"'{typed}' is none of them.")


def _ask(question: str, default: str) -> str:
    """Ask on the terminal; names that clouds give are shown without control characters."""
    text = f"{visible(question)} [{visible(default)}]" if default else visible(question)
    answer = click.prompt(text, default=default or None, show_default=False, err=True)
    return str(answer).strip()


def listed(choices: Sequence[str]) -> str:
    """Return names for a sentence; a long list is cut."""
    more = len(choices) - _MOST_LISTED
    return ", ".join(choices[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
