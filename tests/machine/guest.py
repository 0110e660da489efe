"""A stack whose machine was booted, as the tests see it: from outside, and inside as root."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.cloud import LocalCloud
from local.machine.machine import BootedMachine
from tests.checkout import Checkout
from tests.eventually import eventually as asked
from tests.eventually import patience

WORKER = "pipeline-worker.service"
PROBE = "/usr/local/lib/probe.py"
DROP_IN = f"/run/systemd/system/{WORKER}.d/probe.conf"
BOOT_SECONDS = 300
# Each look is a login: the guest shall have time for its own work.
eventually = partial(asked, every=0.3)


@dataclass
class Guest:
    """The machine of a stack that stands in a checkout of its own."""

    checkout: Checkout
    suite: str
    told_without_registry: str = field(default="")

    @property
    def cloud(self) -> LocalCloud:
        """The cloud that the machine is of."""
        return LocalCloud(self.checkout.folder / ".local/cloud")

    @property
    def machine(self) -> BootedMachine:
        """The one that runs now."""
        (found,) = self.cloud.machines()
        assert isinstance(found, BootedMachine)
        return found

    def root(self, script: str, *, code: int | None = 0, seconds: float = 120) -> str:
        """Run a shell script in the guest as root; its output, standard error included."""
        answer = self.machine.run_command(
            ["/bin/sh", "-c", f"exec 2>&1\n{script}"], seconds * patience()
        )
        assert code is None or answer.returncode == code, f"{script}\n{answer.stdout}"
        return answer.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Put a text file into the guest."""
        self.root(f"mkdir -p $(dirname {path}); cat > {path} <<'END-OF-IT'\n{text}\nEND-OF-IT")

    def pause(self) -> None:
        """No more passes, and none at work."""
        self.root(f"systemctl stop pipeline-worker.timer; systemctl stop {WORKER}")

    def resume(self) -> None:
        """Pass after pass again, by the unit as our user-data wrote it; one that was begun
        otherwise ends."""
        self.root(
            f"rm -f {DROP_IN}; systemctl daemon-reload; systemctl stop {WORKER}; "
            "systemctl start pipeline-worker.timer"
        )

    def override(self, *lines: str) -> None:
        """Change the worker's unit until `resume`."""
        self.write(DROP_IN, "\n".join(["[Service]", *lines]))
        self.root("systemctl daemon-reload")

    def as_root(self, python: str) -> str:
        """What a probe prints where nothing hinders it: the positive control."""
        self.write(PROBE, python)
        return self.root(f"/opt/pipeline/venv/bin/python {PROBE}", code=None)

    def as_worker(self, python: str, *more: str) -> str:
        """What the same probe prints in the worker's unit, in the place of a pass."""
        self.pause()
        try:
            self.write(PROBE, python)
            command = f"/opt/pipeline/venv/bin/python {PROBE}"
            self.override("ExecStart=", f"ExecStart={command}", *more)
            self.root(f"systemctl start {WORKER}", code=None)
            invocation = self.root(f"systemctl show -P InvocationID {WORKER}")
            # What it printed itself, not what systemd says of it.
            return self.root(
                "journalctl --sync; journalctl --no-pager -o cat _TRANSPORT=stdout "
                f"_SYSTEMD_INVOCATION_ID={invocation}"
            )
        finally:
            self.resume()

    def put(self, *names: str) -> None:
        """Send samples."""
        self.checkout.pipeline("put", "--again", *(f"samples/{name}" for name in names))

    def done(self) -> list[str]:
        """The input keys of the ledger's rows, oldest first."""
        return [row["input_key"] for row in self.rows()]

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows; none while the machine cannot tell."""
        answer = self.checkout.pipeline("log", "--json", code=None)
        return list(json.loads(answer.stdout)) if answer.returncode == 0 else []

    def negate(self, *names: str) -> list[dict[str, Any]]:
        """Send samples, wait for their rows and return those."""
        before = len(self.rows())
        self.put(*names)
        eventually(lambda: len(self.rows()) == before + len(names), what=f"negatives of {names}")
        new = self.rows()[:]
        return [row for row in new if row["input_key"] in names][-len(names) :]

    def status(self) -> dict[str, Any]:
        """`status --json`; {} while it cannot tell."""
        answer = self.checkout.pipeline("status", "--json", code=None)
        return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}

    def working(self) -> bool:
        """Whether a pass has ended well, so that the whole boot is behind us."""
        try:
            return bool(self.machine.is_installed and self.status().get("machines"))
        except (ValueError, ProcessLookupError):
            return False

    def secrets(self, names: Iterable[str]) -> list[str]:
        """Secret outputs of the stack."""
        answer = self.checkout.pipeline("outputs", "--json", "--show-secrets")
        values = json.loads(answer.stdout)
        return [str(values[name]) for name in names]
