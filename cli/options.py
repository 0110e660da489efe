"""Options that several commands have."""

from typing import TYPE_CHECKING, Any

import click

from cli.stacks import registry
from cli.stacks.target import LOCAL
from cli.terminal import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cli.stacks.target import Target


class Text(click.ParamType[str]):
    """A parameter that is UTF-8: stores, databases and JSON take no other text."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value as it is; bytes that are not UTF-8 are a usage error."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"'{visible(value)}' is not UTF-8.", param, ctx)
        return value


TEXT = Text()


def find_stack(name: str) -> "Target":
    """Return the stack of that name.

    Raises:
        CommandError: `init` never created it.
    """
    if name == LOCAL:
        from cli.stacks.local_stack import LocalStack

        return LocalStack()
    from cli.stacks.cloud_stack import CloudStack

    return CloudStack(name)


def _find(context: click.Context, _option: click.Parameter, value: str) -> "Target | None":
    return None if context.resilient_parsing else find_stack(value)


def complete_stack(_context: Any, _option: Any, incomplete: str) -> "list[CompletionItem[str]]":
    """Complete the name of a stack."""
    from click.shell_completion import CompletionItem

    names = [LOCAL, *registry.known()]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


stack = click.option(
    "--stack",
    "target",
    type=TEXT,
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    callback=_find,
    shell_complete=complete_stack,
    help="The stack: the one on this computer, or one that 'init' created.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
