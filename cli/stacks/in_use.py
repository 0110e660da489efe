"""What else uses the stack's security group: the cloud would not let go of it.

The provider's own delete waits for ten minutes, then tells of a deadline only.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.sdk import connect, sentences

_GROUP, _PORT = "networking/secGroup:SecGroup", "networking/port:Port"


def users_of_groups(
    settings: Mapping[str, Any], resources: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """A sentence for each port outside the state that has a group of it; raises CloudError.

    `settings` are the stack's, `resources` its state's.
    """
    groups, ours = _ids(resources, _GROUP), _ids(resources, _PORT)
    if not groups:
        return
    entry = str(settings.get("computeCloud", ""))
    with sentences(entry):
        ports = list(connect(entry, str(settings.get("computeRegion", ""))).network.ports())
    for port in ports:
        if port.id not in ours and groups & set(port.security_group_ids or ()):
            owner = f" of machine {port.device_id}" if port.device_id else ""
            yield (
                f"Port {port.name or port.id}{owner}, which is not this stack's, uses its security "
                "group: give it another group, then run the same command again."
            )


def _ids(resources: Sequence[Mapping[str, Any]], kind: str) -> set[str]:
    return {str(each.get("id", "")) for each in resources if str(each["type"]).endswith(kind)}
