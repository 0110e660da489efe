"""The commands of ./pipeline, one module each, named as the command is.

A module's docstring is the help of its command, the first line what the list of commands shows, and
its attribute `command` is the click command. A module is imported when its command is used.
"""

import importlib
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from cli.errors import CommandError, Interrupted, file_error
from cli.suggestions import Suggesting
from worker.errors import PipelineError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_FOLDER = Path(__file__).parent


class Commands(Suggesting):
    """The group of all modules in this folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted."""
        del ctx
        modules = (path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")
        return sorted(name.replace("_", "-") for name in modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module; None for an unknown name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_line(name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Complete a command's name, or an option, without importing any command."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=_first_line(name)) for name in names]
        return [*commands, *super(click.Group, self).shell_complete(ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; report every error as one sentence.

        Returns:
            What the command returns.

        Raises:
            CommandError: For every error of the project, Ctrl-C, and files that cannot be used.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except CommandError:
            raise
        except PipelineError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise file_error(error) from None


def _first_line(name: str) -> str:
    with (_FOLDER / f"{name.replace('-', '_')}.py").open(encoding="utf-8") as module:
        return module.readline().strip().strip('"')


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Deploy and use pipelines.

    Photos put into a bucket are transformed, the results are stored in another bucket, and a
    database records every one of them.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see cli/__main__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Do what Ctrl-C does; a terminal would send the signal to the engine as well."""
    from cli.stacks.engine_processes import interrupt_engines

    interrupt_engines()
    signal.raise_signal(signal.SIGINT)
