"""The Pulumi program, which the Automation API runs in this process."""

import importlib
import runpy
import threading
from contextlib import suppress

from cli.paths import CHECKOUT

#: What the program imports, with all that they import: 0.8 s of CPU.
_MODULES = (
    *("pulumi_openstack.compute", "pulumi_openstack.identity", "pulumi_openstack.networking"),
    *("pulumi_openstack.objectstorage", "openstack.connection"),
    *("infra.machines", "infra.outputs", "infra.settings.load"),
)


class Program:
    """`__main__.py`, run as bare `pulumi up` would run it."""

    def __init__(self) -> None:
        self._import = threading.Thread(target=_import, daemon=True)

    def begin_import(self) -> None:
        """Import its modules in a thread, while the caller waits for other processes."""
        import pulumi.automation  # noqa: F401  by one thread: its modules import each other

        if not self._import.ident:
            self._import.start()

    def run(self) -> None:
        """Run it; the engine must have called this process."""
        if self._import.ident:
            self._import.join()
        runpy.run_path(str(CHECKOUT / "__main__.py"), run_name="__main__")


def _import() -> None:
    for name in _MODULES:
        with suppress(Exception):  # the program imports it again, and reports why it cannot
            importlib.import_module(name)
