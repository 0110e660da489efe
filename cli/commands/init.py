"""Ask what a stack on a cloud needs, check it, and write its settings.

The answers are checked against the clouds and written to Pulumi.STACK.yaml. Values given by options
or already in the file are not asked for.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cli import cost as costs
from cli import options
from cli.errors import CommandError
from cli.init import checks, settings_file
from cli.init.prompt import Prompt
from cli.init.wizard import Wizard
from cli.paths import CHECKOUT
from cli.stacks import registry
from cli.stacks.backend import state_file
from cli.stacks.cloud_stack import CloudStack
from cli.stacks.target import LOCAL, command_line
from cli.terminal import print_progress, print_result
from clients.errors import InfraError
from infra.settings.declared import defaults
from local import private_file

#: Option -> setting; --set is for all others.
_FLAGS = {
    "compute_cloud": "computeCloud",
    "compute_region": "computeRegion",
    "database_cloud": "databaseCloud",
    "database_region": "databaseRegion",
    "image": "image",
    "flavor": "flavor",
    "network": "network",
    "external_network": "externalNetwork",
    "ssh_key": "sshPublicKeyFile",
    "database_version": "databaseVersion",
    "database_flavor": "databaseFlavor",
    "quarantine_bucket": "quarantineBucket",
}
#: Option -> key of the pipeline that a new stack has.
_PIPELINE_FLAGS = {"input_bucket": "inputBucket", "output_bucket": "outputBucket"}
_SECRET = ("s3AccessKey", "s3SecretKey", "databaseAdminPassword", "databaseUserPassword")


def _flags(function: Any) -> Any:
    for name, setting in reversed([*_FLAGS.items(), *_PIPELINE_FLAGS.items()]):
        flag = "--" + name.replace("_", "-")
        text = f"Setting {setting}." if name in _FLAGS else f"{setting} of the pipeline negatives."
        function = click.option(flag, name, metavar="TEXT", help=text)(function)
    return function


@click.command(help=__doc__)
@click.argument("stack", type=options.TEXT, shell_complete=options.complete_stack)
@_flags
@click.option("--volume", type=int, help="Setting databaseVolumeSize, GiB.")
@click.option("--operator-cidr", multiple=True, help="Setting operatorCidrs; may be repeated.")
@click.option("--set", "more", multiple=True, metavar="NAME=VALUE", help="Any other setting.")
@click.option("--state", metavar="FOLDER|URL", help="Where to keep the state.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="An existing passphrase.")
@click.option("--check", is_flag=True, help="Only check the stack's settings; write nothing.")
def command(
    stack: str,
    *,
    volume: int | None,
    operator_cidr: tuple[str, ...],
    more: tuple[str, ...],
    state: str | None,
    passphrase_file: Path | None,
    check: bool,
    **flags: str | None,
) -> None:
    if not registry.STACK_NAME.fullmatch(stack) or stack == LOCAL:
        raise CommandError(
            f"'{stack}' cannot be a stack on a cloud: use letters, digits, '-', '_' and '.', and "
            "not 'local', which is the one on this computer."
        )
    path = registry.settings_file(stack)
    given = _existing(path)
    if check:
        if not path.is_file():
            raise CommandError(f"There is no {path.name} to check: './pipeline init {stack}'.")
        _report(stack, given)
        return
    chosen = {name: value for name, value in flags.items() if value is not None}
    given |= {_FLAGS[name]: value for name, value in chosen.items() if name in _FLAGS}
    buckets = {key: chosen[name] for name, key in _PIPELINE_FLAGS.items() if name in chosen}
    given |= {"databaseVolumeSize": volume} if volume is not None else {}
    given |= {"operatorCidrs": list(operator_cidr)} if operator_cidr else {}
    given |= dict(_assignment(each) for each in more)
    prompt = Prompt()
    try:
        settings = Wizard(stack, given, prompt, buckets).run()
    except InfraError as error:
        raise CommandError(str(error)) from None
    record = _record(stack, state, passphrase_file, prompt)
    text = settings_file.text(stack, settings) + settings_file.salt(path)
    path.write_text(text, encoding="utf-8")
    registry.save(stack, record)
    print_progress(f"Written: {path}")
    print_progress(f"State: {record.backend}")
    print_progress(
        f"Passphrase: {record.passphrase_file} (keep a copy: without it the state is lost)."
    )
    _report(stack, settings)


def _existing(path: Path) -> dict[str, Any]:
    return settings_file.read(path) if path.is_file() else {}


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or name not in defaults():
        raise CommandError(
            f"--set {text}: write NAME=VALUE with a setting's name; Pulumi.yaml lists them."
        )
    if name in _SECRET:
        raise CommandError(
            f"{name} is a secret: set it with 'pulumi config set --secret {name}', which encrypts "
            "it, not here."
        )
    try:
        structured = json.loads(value)
    except ValueError:
        return name, value
    return name, structured if isinstance(structured, dict | list | bool | int) else value


def _record(
    stack: str, state: str | None, passphrase_file: Path | None, prompt: Prompt
) -> registry.Record:
    try:
        former = registry.load(stack) if (registry.folder(stack) / "stack.json").exists() else None
    except CommandError:
        former = None
    if state is None and former is not None:
        backend = former.backend
    else:
        home = registry.data_folder() / "state"
        question = "Folder (or Pulumi backend's URL) for the state, outside git"
        where = prompt.text(state, "--state", question, str(home))
        backend = _backend(where)
    if passphrase_file is not None:
        if not passphrase_file.is_file():
            raise CommandError(f"--passphrase-file names {passphrase_file}, which is not a file.")
        return registry.Record(backend, str(passphrase_file.absolute()))
    if former is not None:
        return registry.Record(backend, former.passphrase_file)
    path = registry.folder(stack) / "passphrase"
    if not path.exists():
        private_file.write(path, secrets.token_urlsafe(24) + "\n")
    return registry.Record(backend, str(path))


def _backend(where: str) -> str:
    if "://" in where:
        return where
    folder = Path(where).expanduser().absolute()
    if folder.is_relative_to(CHECKOUT):
        raise CommandError(
            f"The state would be in the checkout ({folder}), where git clean removes it: name a "
            "folder outside."
        )
    private_file.make_folder(folder)
    return folder.as_uri()


def _deployed(stack: str) -> int | None:
    """Return a stack's machines; the engine is asked only if there may be resources."""
    if stack not in registry.known():
        return None
    file = state_file(registry.load(stack).backend, stack)
    return CloudStack(stack).deployed if file is None or file.exists() else None


def _report(stack: str, settings: Mapping[str, Any]) -> None:
    """Raise the problems found; without any, print the costs and the next command."""
    found = checks.problems(stack, settings, lambda: _deployed(stack))
    if found:
        raise CommandError(
            "\n".join([*found, f"Then check again with './pipeline init {stack} --check'."])
        )
    costs.print_bill(costs.of_stack(settings))
    print_result(f"No problems found: '{command_line('up', stack)}' deploys it.")
