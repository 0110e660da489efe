"""Open the stack's page in the browser.

Of a stack on a cloud the page is reached through ssh: the command holds the tunnel until Ctrl-C.
"""

import html
import webbrowser
from contextlib import suppress

import click

from cli import options
from cli.errors import CommandError
from cli.machines.host import first
from cli.machines.page import Page
from cli.paths import CHECKOUT
from cli.stacks.target import Target, command_line
from cli.terminal import print_progress, print_result
from local import private_file

#: How long a browser that has to be started may take to read the file.
_READ_SECONDS = 15.0
_REDIRECT = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={address}">
<title>image-pipeline</title>
<a href="{address}">Open the page</a>
"""


@click.command(help=__doc__)
@options.stack
@click.option("--print", "is_printed", is_flag=True, help="Print the address for a browser.")
@click.option(
    "--token",
    "has_token",
    is_flag=True,
    help="Print the header with the upload token, for a file: 'curl -H @FILE'.",
)
def command(target: Target, is_printed: bool, has_token: bool) -> None:
    if is_printed and has_token:
        raise click.UsageError("--print and --token exclude each other.")
    values = target.outputs()
    if "pageKey" not in values:
        up = command_line("up", target.name)
        raise CommandError(
            f"Stack '{target.name}' serves no page (web: false): set it to true, then run '{up}'."
        )
    if has_token:
        print_result(f"Authorization: Bearer {values['uploadToken']}")
        return
    with first(target).page() as page, suppress(KeyboardInterrupt):
        login = f"{page.address}/login?key={values['pageKey']}"
        if is_printed:
            print_result(login)
        if page.tunnel:
            print_progress(f"The tunnel to machine {page.machine} is up; Ctrl-C ends it.")
        if not is_printed:
            _open(login, page, target.name)
        page.hold()


def _open(login: str, page: Page, stack: str) -> None:
    """Open the browser; the key is in a file of this user, since others see command lines."""
    file = CHECKOUT / f".page-{stack}.html"
    try:
        private_file.write(file, _REDIRECT.format(address=html.escape(login)))
        if not webbrowser.open(file.as_uri()):
            shown = command_line("web --print", stack)
            raise CommandError(f"No browser was found: '{shown}' prints the address for one.")
        print_progress(f"Opened the page in the browser: {page.address}")
        page.hold(_READ_SECONDS)
    finally:
        file.unlink(missing_ok=True)
