"""Keys of the object store (EC2 credentials) that a lost state may have left at Keystone.

They bear no name, and a person's own, made for s3cmd or rclone, look just the same: so they are
told, and never removed by us.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cli.errors import CommandError
from cli.stacks import registry
from cli.stacks.state_folder import state_file
from infra.sdk import connect, sentences

_LISTED = 200


def unclaimed(settings: Mapping[str, Any], known: Collection[str]) -> str:
    """A sentence on those that no stack on this computer knows; "" without any. Raises CloudError.

    `settings` are the stack's; `known` are the ids of its state (access keys are such).
    """
    if settings.get("objectStore", "openstack") != "openstack" or settings.get("s3AccessKey"):
        return ""
    entry = str(settings.get("computeCloud", ""))
    with sentences(entry):
        session = connect(entry, str(settings.get("computeRegion", ""))).session
        project, user = session.get_project_id(), session.get_user_id()
        answer = session.get(
            f"/users/{user}/credentials/OS-EC2",
            endpoint_filter={"service_type": "identity", "interface": "public", "version": (3, 0)},
            raise_exc=False,
        )
    if answer.status_code != _LISTED:  # newer Keystones show them to no application credential
        return ""
    found = [each for each in answer.json()["credentials"] if each["tenant_id"] == project]
    claimed = {*known, *_of_other_stacks()}
    left = [str(each["access"]) for each in found if each["access"] not in claimed]
    if not left:
        return ""
    return (
        f"Cloud '{entry}' also has keys of the object store that no stack on this computer knows: "
        f"{', '.join(left)}. Keys bear no name, so whether a lost state left them or you or a "
        "colleague use them elsewhere cannot be told from here: what surely nobody uses, "
        f"'openstack --os-cloud {entry} ec2 credentials delete KEY' removes."
    )


def _of_other_stacks() -> Iterator[str]:
    """Ids in the states that are files on this computer; other backends are not asked."""
    for stack in registry.known():
        try:
            file = state_file(registry.load(stack).backend, stack)
            state = json.loads(file.read_text(encoding="utf-8")) if file else {}
        except (OSError, ValueError, CommandError):
            continue
        latest = (state.get("checkpoint") or {}).get("latest") or {}
        yield from (str(each.get("id", "")) for each in latest.get("resources") or ())
