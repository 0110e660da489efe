"""Preview the stack `devplan` with the settings of `Pulumi.dev.yaml`; prints the planned kinds.

Run as `planner.py FOLDER SETTINGS`: FOLDER has (or gets) `PULUMI_HOME`, state and project files,
SETTINGS is a JSON object of settings that override the example's.
"""

import json
import shutil
import sys
from pathlib import Path

import yaml

from cli.errors import CommandError
from cli.paths import CHECKOUT
from cli.stacks.progress import resource_name
from cli.stacks.pulumi_stack import PulumiStack, Workspace
from infra.names import PROJECT

STACK = "devplan"


def home(folder: Path, overrides: dict[str, str]) -> Workspace:
    """The project's files with only the two clouds (and `overrides`) changed."""
    project, state = folder / "project", folder / "state"
    for each in (project, state):
        each.mkdir(exist_ok=True)
    shutil.copyfile(CHECKOUT / "Pulumi.yaml", project / "Pulumi.yaml")
    settings = yaml.safe_load((CHECKOUT / "Pulumi.dev.yaml").read_text())
    changed = {"computeCloud": "local", "databaseCloud": "local", **overrides}
    settings["config"] |= {f"{PROJECT}:{name}": value for name, value in changed.items()}
    (project / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(settings))
    return Workspace(
        STACK,
        project,
        {
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_BACKEND_URL": state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "only-for-this-plan",
        },
    )


def main() -> int:
    """Print the kinds of the planned resources as a JSON list; the sentence of what went wrong."""
    stack = PulumiStack(home(Path(sys.argv[1]), json.loads(sys.argv[2])))
    try:
        steps = stack.preview()
    except CommandError as error:
        print(error.message, file=sys.stderr)
        return 1
    print(json.dumps([resource_name(step).split()[0] for step in steps]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
