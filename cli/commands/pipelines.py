"""List, create, update and delete the pipelines in a stack's settings.

The settings of a stack on a cloud are in its Pulumi.STACK.yaml. The local stack's pipelines are in
pipelines.local.yaml, which the first 'create' or 'update' writes; until then there is one pipeline,
'negatives'. 'preview' then shows what changes, and 'up' changes it.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.confirmation import confirm_pipeline
from cli.errors import CommandError
from cli.pipelines import comparison, deployed, sources
from cli.pipelines.definitions import Definitions
from cli.stacks import outputs
from cli.stacks.target import LOCAL, Target, command_line
from cli.suggestions import Suggesting
from cli.terminal import print_result, print_table

_NO_KEYS = {"transform": "", "from": [], "inputBucket": "", "outputBucket": ""}
_FILE = click.option(
    "--file",
    "-f",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Has 'NAME: {…}' in YAML or JSON; several are fine.",
)


@click.group(cls=Suggesting, help=__doc__)
def command() -> None:
    pass


@command.command("list")
@options.stack
@options.as_json
def list_(target: Target, as_json: bool) -> None:
    """Show the pipelines, and how settings and deployed stack differ."""
    rows = list(_rows(Definitions(target.name), deployed.find(target)))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    heading = ("pipeline", "transform", "from", "input bucket", "output bucket", "state")
    keys = ("name", "transform", "from", "inputBucket", "outputBucket", "state")
    print_table((tuple(_cell(row[key]) for key in keys) for row in rows), heading)


@command.command()
@click.argument("name", required=False, type=options.TEXT)
@click.option("--transform", type=options.TEXT,
              help="What is done to each object; package.module:function of --folder.")  # fmt: skip
@click.option("--from", "readers_of", type=options.TEXT, multiple=True, metavar="PIPELINE",
              help="A pipeline whose results it reads; may be repeated.")  # fmt: skip
@click.option("--parameter", "parameters", type=options.TEXT, multiple=True, metavar="KEY=VALUE",
              help="A parameter of the transform, its value in YAML; may be repeated.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), metavar="FOLDER",
              help="A folder with the function's package or the command's files.")  # fmt: skip
@_FILE
@options.stack
def create(
    *,
    name: str | None,
    transform: str | None,
    readers_of: tuple[str, ...],
    parameters: tuple[str, ...],
    folder: Path | None,
    file: Path | None,
    target: Target,
) -> None:
    """Add pipelines: those in FILE, or NAME with --transform.

    Keys without an option, such as gather, apt and outputKey, need a FILE.
    """
    if file is not None and not (name or transform or readers_of or parameters or folder):
        made = sources.from_file(file)
    elif file is None and name and transform:
        made = sources.from_options(name, transform, readers_of, parameters, folder)
    else:
        raise CommandError("Give either -f FILE, or NAME and --transform TRANSFORM.")
    with target.alone():
        definitions = Definitions(target.name)
        definitions.check_absent(list(made))
        deleted = [each for each in definitions.deleted if each not in made]
        definitions.write({**definitions.entries, **made}, deleted)
    _print_done("Created", made, definitions)


@command.command()
@_FILE
@options.stack
def update(file: Path | None, target: Target) -> None:
    """Replace the definitions of pipelines by those in FILE."""
    if file is None:
        raise CommandError("Give the file with the new definitions: -f FILE.")
    made = sources.from_file(file)
    with target.alone():
        definitions = Definitions(target.name)
        definitions.check_present(list(made))
        definitions.write({**definitions.entries, **made}, definitions.deleted)
    _print_done("Updated", made, definitions)


@command.command()
@click.argument("name", type=options.TEXT)
@click.option("--data", is_flag=True, help="Also what its buckets hold.")
@click.option("--yes", is_flag=True, help="Do not ask for the pipeline's name.")
@options.stack
def delete(name: str, data: bool, yes: bool, target: Target) -> None:
    """Remove a pipeline; the next 'up' removes its buckets, which must be empty without --data."""
    with target.alone():
        definitions = Definitions(target.name)
        state = deployed.find(target)
        if name not in state.names:
            definitions.check_present([name])
        entries = {key: value for key, value in definitions.entries.items() if key != name}
        if name in definitions.entries:
            definitions.check_removable(name)
            definitions.check(entries)
        own = _resources(name, state, target.name)
        if own is not None and not data:
            _refuse_contents(name, own, state.outputs, target.name)
        if own is not None and data and own.buckets and not yes and target.name != LOCAL:
            confirm_pipeline(name)
        if own is not None:
            target.open().unprotect(own.protected)
        named = [name] if data and own is not None else []
        definitions.write(entries, list(dict.fromkeys([*definitions.deleted, *named])))
    _print_done("Deleted", [name], definitions)


def _resources(
    name: str, state: deployed.DeployedStack, stack: str
) -> deployed.DeployedPipeline | None:
    """Return what is deployed of a pipeline, None if nothing is.

    Raises:
        CommandError: An older version deployed it, without telling its resources apart.
    """
    if name in state.names and name not in state.pipelines:
        raise CommandError(
            f"An older version deployed stack '{stack}': run '{command_line('up', stack)}' first."
        )
    return state.pipelines.get(name)


def _refuse_contents(
    name: str,
    own: deployed.DeployedPipeline,
    found: outputs.Outputs | None,
    stack: str,
) -> None:
    """Raise CommandError if a pipeline's buckets hold objects, or nobody can tell."""
    from cli.pipelines import contents

    if not own.buckets:
        return
    if found is None:
        raise CommandError(
            f"The last 'up' of stack '{stack}' has not completed, so the keys of its buckets are "
            "not known: run it again first."
        )
    held = contents.describe(found, own.buckets)
    if held:
        remedy = command_line(f"pipelines delete {name} --data", stack)
        raise CommandError(
            f"Pipeline '{name}' still holds {' and '.join(held)}, versions and delete markers "
            f"included: '{remedy}' deletes them too."
        )


def _rows(definitions: Definitions, state: deployed.DeployedStack) -> Iterator[dict[str, Any]]:
    wanted = definitions.pipelines()
    for name in dict.fromkeys([*wanted, *state.names]):
        there = state.outputs.pipelines.get(name) if state.outputs else None
        row: dict[str, Any] = {"name": name, **_NO_KEYS}
        if there:
            hashed = ("parameters", "folder")
            row |= {key: each for key, each in there.definition.items() if key not in hashed}
            row |= {"transform": there.transform, "from": list(there.sources)}
        if name in wanted:
            row |= wanted[name].model_dump(mode="json", by_alias=True, exclude_none=True)
        if there:
            row |= {"inputBucket": there.input_bucket, "outputBucket": there.output_bucket}
        if name not in wanted:
            yield {**row, "state": "to be removed"}
        elif name not in state.names or there is None or state.outputs is None:
            yield {**row, "state": "to be created"}
        else:
            is_changed = comparison.differs(wanted[name], there.definition, state.outputs)
            yield {**row, "state": "to be changed" if is_changed else "deployed"}


def _cell(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _print_done(what: str, names: Iterable[str], definitions: Definitions) -> None:
    up, preview = (command_line(word, definitions.stack) for word in ("up", "preview"))
    print_result(
        f"{what} in {definitions.file.name}: {', '.join(names)}. '{up}' applies it; '{preview}' "
        "shows what it changes."
    )
