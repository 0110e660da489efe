"""Remove everything that `up` created.

What the buckets and the database hold is deleted too, unless protectData guards it (the default on
clouds): then --data is needed, which asks. The local stack's data are not guarded
(Pulumi.local.yaml): they are deleted without a question.
"""

import click

from cli import options
from cli.confirmation import confirm_stack
from cli.stacks.target import LOCAL, Target, explain_interrupt
from cli.terminal import print_progress, print_result

_BACKUPS = (
    "Backups that the database service made stay as long as the cloud keeps them (Pukki: 90 days); "
    "users cannot remove those."
)


@click.command(help=__doc__)
@options.stack
@click.option("--data", is_flag=True, help="Also buckets and database (protectData).")
@click.option("--yes", is_flag=True, help="Do not ask for the stack's name.")
def command(target: Target, data: bool, yes: bool) -> None:
    with target.alone(), explain_interrupt(target.name):
        if not target.exists:
            target.check_nothing_left()
            what = "The local stack" if target.name == LOCAL else f"Stack '{target.name}'"
            print_result(f"{what} is not deployed: nothing to take down.")
            return
        if data and not yes and target.name != LOCAL:
            confirm_stack(target.name)
        target.destroy(data=data)
    print_result("Nothing is left of it.")
    if target.name != LOCAL:
        print_progress(_BACKUPS)
