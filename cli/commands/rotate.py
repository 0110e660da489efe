"""Replace a secret that the program made, and no other.

Each command raises a number in the setting 'rotation' and runs 'up', which replaces the machine; no
upload is lost. docs/operations.md has a table of the secrets.
"""

import click

from cli import options
from cli.stacks.target import Target, command_line, explain_interrupt, require_finished
from cli.suggestions import Suggesting
from cli.terminal import print_progress, print_result


@click.group(cls=Suggesting, help=__doc__)
def command() -> None:
    pass


@command.command()
@options.stack
def keys(target: Target) -> None:
    """Replace the object store's keys, and with them the upload token."""
    _rotate(target, "keys")
    print_result(
        "The old keys are deleted. Clients of the buckets need the new ones, which "
        f"{_run('keys', target)} prints, and clients of the upload API the new token: "
        f"{_run('web --token', target)}."
    )


@command.command()
@options.stack
def passwords(target: Target) -> None:
    """Replace the database's passwords and client certificates."""
    _rotate(target, "passwords")
    trust = "."
    if "databaseClientCa" in target.outputs(show_secrets=False):
        trust = (
            " Install the output databaseClientCa on the database's server: until then it accepts "
            "the old certificates."
        )
    print_result(
        "The machine has the new passwords or certificates. Other programs that log in as the "
        f"database's users need them too: {_run('outputs --show-secrets', target)}{trust}"
    )


@command.command("upload-token")
@options.stack
def upload_token(target: Target) -> None:
    """Replace the token of the upload API, and the page's key."""
    _rotate(target, "uploadToken")
    print_result(
        "The old token is refused. Clients of the upload API need the new one, which "
        f"{_run('web --token', target)} prints; {_run('web', target)} opens the page again."
    )


@command.command()
@click.argument("name", type=options.TEXT)
@options.stack
def camera(name: str, target: Target) -> None:
    """Replace the password of one camera."""
    _rotate(target, "cameras", name)
    print_result(
        f"The old password of camera '{name}' is refused. Its device needs the new one, which "
        f"{_run(f'edge-kit {name} --out FOLDER', target)} writes; it keeps its pictures until then."
    )


def _rotate(target: Target, key: str, camera_name: str = "") -> None:
    from cli.pipelines.rotation import raise_round  # imports the engine's SDK

    with target.alone(), explain_interrupt(target.name):
        require_finished(target.outputs(show_secrets=False), target.name)
        file = raise_round(target.name, key, camera_name)
        print_progress(f"Raised rotation.{key} in {file.name}.")
        target.check()
        target.open().up()


def _run(words: str, target: Target) -> str:
    return f"'{command_line(words, target.name)}'"
