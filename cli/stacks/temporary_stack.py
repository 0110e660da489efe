"""A local stack that exists only while a demo runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.errors import Interrupted
from cli.paths import cache_folder
from cli.stacks.local_stack import LocalStack
from cli.terminal import print_progress, print_result


@contextmanager
def temporary(local: LocalStack, *, next_steps: str = "") -> Iterator[None]:
    """Destroy a local stack, with its data, at the end.

    Args:
        local: The stack, which must not exist.
        next_steps: If given, printed in place of destroying the stack after a success.

    Raises:
        Interrupted: The user pressed Ctrl-C, and everything was taken down.
    """
    try:
        yield
    except BaseException as error:
        print_progress("Taking down what was deployed.")
        # A new object rereads the state.
        LocalStack(local.paths, has_pipelines=local.has_pipelines).destroy(data=True)
        if isinstance(error, KeyboardInterrupt | Interrupted):
            raise Interrupted("Interrupted: nothing is left of it.") from None
        raise
    if next_steps:
        print_result(next_steps)
    else:
        local.destroy(data=True)
        print_result(f"Nothing is left of it but .venv and {cache_folder()}.")
