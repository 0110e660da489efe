"""The software of a machine whose hypervisor is a fake one, run beside it.

Its user-data is what Nova has. Two things are not as on a cloud: behind Trove's address is no
PostgreSQL, so a real one with the same users takes its place; and there is no systemd.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import postgres
from local.machine import kinds, user_data
from local.machine.process.machine import ProcessMachine


@contextmanager
def running(folder: Path, packed: str, outputs: Mapping[str, Any]) -> Iterator[ProcessMachine]:
    """`packed` is the user-data from Nova, `outputs` are the stack's with its secrets."""
    server = postgres.start(folder / "postgres")
    database = str(outputs["databaseName"])
    try:
        postgres.create_database(server, database)
        admin, user = str(outputs["databaseAdmin"]), str(outputs["databaseUser"])
        postgres.create_user(server, admin, str(outputs["databaseAdminPassword"]), [database])
        postgres.create_user(server, user, str(outputs["databaseUserPassword"]))
        kind, local = kinds.MachineKind(), _at(server, packed, outputs)
        kinds.start(folder / "machine", kind, "beside", local, "")
        yield ProcessMachine("beside", folder / "machine")
    finally:
        kinds.stop(folder / "machine")
        postgres.stop(folder / "postgres")


def _at(server: postgres.PostgreSQL, packed: str, outputs: Mapping[str, Any]) -> str:
    """The same user-data, but with the address of `server`."""
    entries = [dict(each) for each in user_data.files(packed)]
    settings = next(each for each in entries if each["path"] == user_data.SETTINGS)
    text = str(settings["content"])
    assert f'host = "{outputs["databaseHost"]}"' in text
    text = text.replace(f'host = "{outputs["databaseHost"]}"', f'host = "{server.host}"')
    settings["content"] = re.sub(r"(?m)^port = \d+$", f"port = {server.port}", text)
    document = "#cloud-config\n" + json.dumps({"write_files": entries})
    return base64.b64encode(document.encode()).decode()
