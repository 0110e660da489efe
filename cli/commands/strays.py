"""List cloud resources of the stack that are not in its state."""

import click

from cli import options
from cli.confirmation import confirm_stack
from cli.stacks.target import Target
from cli.terminal import print_progress, print_result, print_table


@click.command(help=__doc__)
@options.stack
@click.option("--remove", "removing", is_flag=True, help="Delete them, except buckets.")
@click.option("--yes", is_flag=True, help="Do not ask for the stack's name.")
def command(target: Target, removing: bool, yes: bool) -> None:
    from cli.stacks.strays import remove

    with target.alone():
        found = target.strays()
        print_table((stray.kind, stray.name, stray.id) for stray in found)
        if not found:
            print_result("All cloud resources with the stack's names are in its state.")
        keys = target.unclaimed_keys()
        if keys:
            print_progress(keys)
        if not found:
            return
        if removing and not yes:
            confirm_stack(target.name)
        for stray in found if removing else ():
            print_progress(f"  - removing {stray.kind} {stray.name}")
            remove(stray)
