"""Whether a pipeline in the settings differs from what is deployed."""

from collections.abc import Mapping
from typing import Any

from cli.stacks.outputs import Outputs
from clients import archive
from infra.settings.pipelines import Pipeline, definition


def differs(wanted: Pipeline, deployed: Mapping[str, Any], outputs: Outputs) -> bool:
    """Compare all keys, the folder by its contents.

    Args:
        wanted: The pipeline in the settings; its secret parameters are not known.
        deployed: The definition in the stack's outputs.
        outputs: The outputs.

    Returns:
        Whether `up` would change it; parameters that are secret now count as equal if they are set.
    """
    sha256 = archive.describe(wanted.folder).sha256 if wanted.folder else ""
    now = definition(wanted, sha256, outputs.s3_secret_key)
    codes = deployed.get("parameters") or {}
    known = {
        name: codes.get(name) if code is None else code for name, code in now["parameters"].items()
    }
    return {**now, "parameters": known} != {**deployed, "parameters": codes}
