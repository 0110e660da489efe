"""What Nova's console log tells of a machine that cannot be asked."""

import re
from collections.abc import Sequence

from infra.errors import CloudError
from infra.sdk import connect, sentences

_LINES = 400
_SHOWN = 12
# systemd paints its words and firmware moves the cursor (ECMA-48); no guest's title, no control.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f]"
)
_TELLING = re.compile(r"cloud-init|pipeline|error|fail|denied|unable", re.IGNORECASE)


def console_log(cloud: str, instance: str) -> str:
    """The last lines of the console, or why there are none; asks Nova as clouds.yaml's entry."""
    try:
        with sentences(cloud):
            found = connect(cloud).compute.get_server_console_output(instance, length=_LINES)
    except CloudError as error:
        return str(error)
    return str((found or {}).get("output") or "")


def telling(log: str) -> Sequence[str]:
    """Its lines about cloud-init, install and migrate, the latest last; else simply the last."""
    lines = [line.rstrip() for line in _CONTROL.sub("", log).splitlines() if line.strip()]
    return ([line for line in lines if _TELLING.search(line)] or lines)[-_SHOWN:]
