"""Options that several commands have."""

from typing import TYPE_CHECKING, Any

import click

from cli.stacks import registry
from cli.stacks.target import LOCAL

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from cli.stacks.target import Target


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


def _complete(_context: Any, _option: Any, incomplete: str) -> "list[CompletionItem[str]]":
    from click.shell_completion import CompletionItem

    names = [LOCAL, *registry.known()]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


stack = click.option(
    "--stack",
    "target",
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    callback=_find,
    shell_complete=_complete,
    help="The stack: the one on this computer, or one that 'init' created.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
