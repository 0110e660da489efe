"""Questions for a person; for a script, flags and defaults."""

import sys
from collections.abc import Sequence

import click

from cli.errors import CommandError
from cli.terminal import print_progress

_MOST_LISTED = 12


class Asker:
    """Takes a flag's value where there is one, else asks on a terminal, else takes the default."""

    def __init__(self, *, interactive: bool | None = None) -> None:
        self.interactive = sys.stdin.isatty() if interactive is None else interactive

    def text(self, given: str | None, flag: str, question: str, default: str = "") -> str:
        """Any text; raises CommandError where nobody can be asked and nothing is given."""
        if given is not None:
            return given.strip()
        if self.interactive:
            return str(click.prompt(question, default=default or None, err=True)).strip()
        if not default:
            raise CommandError(f"{flag} is missing and nobody can be asked here: give it.")
        return default

    def choice(
        self,
        given: str | None,
        flag: str,
        question: str,
        choices: Sequence[str],
        default: str = "",
    ) -> str:
        """One of `choices`; the only one without a question."""
        if given is not None:
            if given not in choices:
                raise CommandError(
                    f"{flag} is '{given}', which there is not: choose one of {listed(choices)}."
                )
            return given
        if len(choices) == 1:
            print_progress(f"{question}: {choices[0]}, the only one.")
            return choices[0]
        preferred = default if default in choices else ""
        if not self.interactive:
            if not preferred:
                raise CommandError(f"{flag} is missing: choose one of {listed(choices)}.")
            return preferred
        return self._pick(question, choices, preferred)

    def confirm(self, question: str, *, default: bool) -> bool:
        """Yes or no; nobody to ask counts as the default."""
        return click.confirm(question, default=default, err=True) if self.interactive else default

    def _pick(self, question: str, choices: Sequence[str], preferred: str) -> str:
        """By number or by name, as it is easiest to type."""
        print_progress(f"{question}:")
        for number, name in enumerate(choices, 1):
            print_progress(f"  {number:2}  {name}")
        while True:
            typed = str(click.prompt("Number or name", default=preferred or None, err=True)).strip()
            if typed in choices:
                return typed
            if typed.isdigit() and 1 <= int(typed) <= len(choices):
                return choices[int(typed) - 1]
            print_progress(f"'{typed}' is none of them.")


def listed(choices: Sequence[str]) -> str:
    """Names in a sentence; long lists are cut."""
    more = len(choices) - _MOST_LISTED
    return ", ".join(choices[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
