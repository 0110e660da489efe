"""The browser of this computer's user, which is let into a stack's page."""

import html
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cli.errors import CommandError
from cli.machines.page import Page
from cli.paths import CHECKOUT
from cli.stacks.target import command_line, require_finished
from cli.terminal import print_progress
from local import private_file

_REDIRECT = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={address}">
<title>image-pipeline</title>
<a href="{address}">Open the page</a>
"""


def require_page(stack: str, outputs: Mapping[str, Any]) -> None:
    """Check that a stack serves the page.

    Raises:
        CommandError: It does not.
    """
    if "pageKey" not in outputs:
        require_finished(outputs, stack)
        up = command_line("up", stack)
        raise CommandError(
            f"Stack '{stack}' serves no page (web: false): set it to true, then run '{up}'."
        )


def login_address(page: Page, outputs: Mapping[str, Any], path: str = "") -> str:
    """Return the address that lets a browser in, and leads it to a path; it is a secret."""
    return f"{page.address}/login?key={outputs['pageKey']}" + (f"&to={path}" if path else "")


def redirect(login: str) -> str:
    """Return a page (HTML) that leads a browser to an address without telling it anything else."""
    return _REDIRECT.format(address=html.escape(login))


@contextmanager
def opened(login: str, page: Page, stack: str) -> Iterator[None]:
    """Open the browser, which must have read what leads it to the page before the context ends.

    The key is in a file of this user, since others see command lines.

    Args:
        login: The address that lets the browser in.
        page: The page.
        stack: The stack's name.

    Raises:
        CommandError: There is no browser.
    """
    file = CHECKOUT / f".page-{stack}.html"
    try:
        private_file.write(file, redirect(login))
        if not webbrowser.open(file.as_uri()):
            shown = command_line("web --print", stack)
            raise CommandError(f"No browser was found: '{shown}' prints the address for one.")
        print_progress(f"Opened the page in the browser: {page.address}")
        yield
    finally:
        file.unlink(missing_ok=True)
