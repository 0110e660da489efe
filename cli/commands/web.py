"""Open the stack's page in the browser.

Of a stack on a cloud the page is reached through ssh: the command holds the tunnel until Ctrl-C.
"""

from contextlib import suppress

import click

from cli import options
from cli.browser import login_address, opened, require_page
from cli.machines.host import first
from cli.stacks.target import Target
from cli.terminal import print_progress, print_result

#: How long a browser that has to be started may take to read the file.
_READ_SECONDS = 15.0


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
    require_page(target.name, values)
    if has_token:
        print_result(f"Authorization: Bearer {values['uploadToken']}")
        return
    with first(target).page() as page, suppress(KeyboardInterrupt):
        login = login_address(page, values)
        if is_printed:
            print_result(login)
        if page.tunnel:
            print_progress(f"The tunnel to machine {page.machine} is up; Ctrl-C ends it.")
        if not is_printed:
            with opened(login, page, target.name):
                page.hold(_READ_SECONDS)
        page.hold()
