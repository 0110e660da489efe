"""Options that several commands have."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cli.errors import CommandError
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


#: Where a command that is only completed, not run, has the name of its stack.
_STACK = "stack"


def _find(context: click.Context, _option: click.Parameter, value: str) -> "Target | None":
    context.meta[_STACK] = value
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


def complete_pipeline(
    context: click.Context, _option: Any, incomplete: str
) -> "list[CompletionItem[str]]":
    """Complete the name of a pipeline in the stack's settings; the engine would take too long."""
    from click.shell_completion import CompletionItem

    from cli.pipelines.definitions import Definitions

    try:
        known = list(Definitions(context.meta.get(_STACK, LOCAL)).entries)
    except CommandError:  # a missing or malformed file: nothing is offered
        known = []
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


pipeline = click.option(
    "--pipeline",
    "pipeline",
    type=TEXT,
    metavar="NAME",
    shell_complete=complete_pipeline,
    help="The pipeline, for stacks with several.",
)


def complete_machine(
    context: click.Context, _option: Any, incomplete: str
) -> "list[CompletionItem[str]]":
    """Complete the name of a machine of the stack's settings."""
    from click.shell_completion import CompletionItem

    from cli.pipelines.settings_file import SettingsFile
    from infra.names import MOST_MACHINES, Names

    stack = str(context.meta.get(_STACK, LOCAL))
    try:
        count = int(SettingsFile(stack).values.get("machines", 1))
    except (CommandError, TypeError, ValueError):  # a missing or malformed file, or number
        count = 0
    names = map(Names.of_stack(stack).machine, range(1, min(count, MOST_MACHINES) + 1))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


machine = click.option(
    "--machine",
    "machine",
    type=TEXT,
    metavar="NAME|K",
    shell_complete=complete_machine,
    help="The machine, by its name or number, for stacks with several.",
)


def filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose rows of the ledger."""
    for option in (
        click.option("--like", type=TEXT, default="", metavar="TEXT",
                     help="Only names that contain TEXT."),
        click.option("--since", type=TEXT, metavar="TIME", callback=_check_time,
                     help="Only since this time: 2026-11-28, 2026-11-28T09:30 (UTC)."),
        click.option("--last", type=click.IntRange(min=0), metavar="N",
                     help="The last N; 0 for all."),
    ):  # fmt: skip
        function = option(function)
    return function


def _check_time(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise CommandError(
                f"--since '{text}' is not a time: write it as 2026-11-28 or 2026-11-28T09:30."
            ) from None
    return text


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
