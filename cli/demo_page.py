"""The page of a demo's stack, for as long as the person wants to look at it."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from cli.browser import login_address, opened, require_page
from cli.errors import CommandError
from cli.machines.host import Host, first
from cli.machines.page import Page
from cli.stacks.local_stack import LocalStack
from cli.terminal import print_progress, print_result, spinner

_PATIENCE_SECONDS = 300  # a booted machine installs its packages first


@contextmanager
def demo_page(local: LocalStack, *, keep: bool) -> Iterator[None]:
    """Open the page, and keep it open after the demo until Enter or Ctrl-C.

    Where nobody sits at a terminal, or there is no browser, its address is printed. Without a
    terminal nobody is waited for.

    Args:
        local: The stack.
        keep: Whether the page stays after the demo anyway.

    Raises:
        CommandError: The stack serves no page, or its machine does not within five minutes.
    """
    values = local.outputs()
    require_page(local.name, values)
    is_watched = sys.stdin.isatty()
    with ExitStack() as until:
        page = until.enter_context(served_page(first(local)))
        login = login_address(page, values, "/results")
        if not (is_watched and _open(until, login, page, local.name)):
            print_result(f"The page: {login}")
        yield
        if is_watched and not keep:
            print_progress("Press Enter to take everything down.")
            with suppress(KeyboardInterrupt):
                sys.stdin.readline()


def _open(until: ExitStack, login: str, page: Page, stack: str) -> bool:
    """Return whether there is a browser, and it was opened."""
    try:
        until.enter_context(opened(login, page, stack))
    except CommandError:
        return False
    return True


@contextmanager
def served_page(host: Host) -> Iterator[Page]:
    """Wait until a machine serves its page, which a booted one does once it is installed.

    Yields:
        The page.

    Raises:
        CommandError: It is not served within five minutes.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with ExitStack() as until:
        with spinner("Waiting for the page"):
            while True:
                try:
                    page = until.enter_context(host.page())
                    break
                except CommandError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(1)
        yield page
