"""A stack whose machine was booted, as tests use it: from outside, and inside as root."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cli.results import ALL
from local.cloud import LocalCloud
from local.machine.machine import BootedMachine
from tests.checkout import Checkout
from tests.eventually import eventually as ask_until
from tests.eventually import patience

PIPELINES = """\
negatives: { transform: negate }
thumbs: { transform: thumbnail, parameters: { width: 61, height: 67 } }
inverted: { transform: negate, from: thumbs }
offline:
  transform: command
  parameters: &probe { argv: [python3, "{folder}/probe.py", "{inputs}"] }
  folder: tests/machine/probe
  apt: [hello]
  secrets: [probe-token]
online:
  transform: command
  parameters: *probe
  folder: tests/machine/probe
  apt: [hello]
  network: true
  allow: [10.0.2.2/32]
"""
NAMES = ("negatives", "thumbs", "inverted")
COMMANDS = ("offline", "online")
SECRET = "hush-hush-hush"
WORKER, TIMER = (f"pipeline-worker@negatives.{kind}" for kind in ("service", "timer"))
_TIMERS = " ".join(f"pipeline-worker@{name}.timer" for name in NAMES)
PROBE = "/usr/local/lib/probe.py"
PROBE_OUTPUT = "/run/probe.out"
DROP_IN = f"/run/systemd/system/{WORKER}.d/probe.conf"
BOOT_SECONDS = 300
# Each question costs the guest a login, so they are not asked more often.
eventually = partial(ask_until, every=0.3)


@dataclass
class Guest:
    """The machine of a stack in a checkout of its own; its pipelines are `PIPELINES`."""

    checkout: Checkout
    suite: str
    status_without_registry: str = field(default="")

    @property
    def cloud(self) -> LocalCloud:
        """The local cloud of the stack."""
        return LocalCloud(self.checkout.folder / ".local/cloud")

    @property
    def machine(self) -> BootedMachine:
        """The machine that is up."""
        (found,) = self.cloud.machines()
        assert isinstance(found, BootedMachine)
        return found

    def shell(self, script: str, *, code: int | None = 0, seconds: float = 120) -> str:
        """Run a shell script in the guest as root; return its output and errors.

        Args:
            script: the commands.
            code: the exit code on which the test does not fail; None accepts all.
            seconds: the script's limit.

        Returns:
            What it printed.
        """
        answer = self.machine.run_command(
            ["/bin/sh", "-c", f"exec 2>&1\n{script}"], seconds * patience()
        )
        assert code is None or answer.returncode == code, f"{script}\n{answer.stdout}"
        return answer.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a text file in the guest."""
        self.shell(f"mkdir -p $(dirname {path}); cat > {path} <<'END-OF-IT'\n{text}\nEND-OF-IT")

    def put_file(self, path: str, source: str) -> None:
        """Copy a file of the project into the guest."""
        text = base64.b64encode((self.checkout.folder / source).read_bytes()).decode()
        self.shell(f"base64 -d > {path} <<'END-OF-IT'\n{text}\nEND-OF-IT")

    def pause(self) -> None:
        """Stop the timers and the running passes."""
        self.shell(
            f"systemctl stop {_TIMERS}; systemctl stop {_TIMERS.replace('.timer', '.service')}"
        )

    def resume(self) -> None:
        """Remove `override`, end the running pass and start the timers."""
        self.shell(
            f"rm -f {DROP_IN}; systemctl daemon-reload; systemctl stop {WORKER}; "
            f"systemctl start {_TIMERS}"
        )

    def override(self, *lines: str) -> None:
        """Add lines to the unit of `negatives`, until `resume`."""
        self.write(DROP_IN, "\n".join(["[Service]", *lines]))
        self.shell("systemctl daemon-reload")

    def probe_as_root(self, python: str) -> str:
        """Run a probe as root and return what it prints: the positive control."""
        self.write(PROBE, python)
        return self.shell(f"/opt/pipeline/venv/bin/python {PROBE}", code=None)

    def probe_as_worker(self, python: str, *more: str) -> str:
        """Run a probe in the unit of `negatives`, in place of a pass; return what it prints."""
        self.shell(f"systemctl stop {TIMER}; systemctl stop {WORKER}")
        try:
            self.write(PROBE, python)
            command = f"/opt/pipeline/venv/bin/python {PROBE}"
            # Not the journal: it may attribute a line to the wrong run of the unit, or to none.
            output = f"StandardOutput=truncate:{PROBE_OUTPUT}"
            self.override("ExecStart=", f"ExecStart={command}", output, *more)
            self.shell(f"rm -f {PROBE_OUTPUT}; systemctl start --wait {WORKER}", code=None)
            return self.shell(f"cat {PROBE_OUTPUT}")
        finally:
            self.resume()

    def put(self, *names: str, pipeline: str = "negatives") -> None:
        """Send samples to a pipeline, also those that are there already."""
        files = [f"samples/{name}" for name in names]
        self.checkout.pipeline("put", "--again", "--pipeline", pipeline, *files)

    def done_keys(self) -> list[str]:
        """Return the input keys of the ledger's rows, oldest first."""
        return [row["input_key"] for row in self.rows()]

    def rows(self, pipeline: str = "negatives") -> list[dict[str, Any]]:
        """Return a pipeline's rows of the ledger, oldest first; [] where `log` fails.

        The worker is asked in the guest: `./pipeline log` starts two programs before it.
        """
        try:
            answer = self.machine.run_worker(["log", "--json", f"--last={ALL}"])
        except (ValueError, ProcessLookupError):  # while it is replaced or boots
            return []
        lines = answer.stdout.splitlines() if answer.returncode == 0 else []
        return [row for row in map(json.loads, lines) if row["pipeline"] == pipeline]

    def negate(self, *names: str) -> list[dict[str, Any]]:
        """Send samples, wait for their rows and return them."""
        before = len(self.rows())
        self.put(*names)
        eventually(lambda: len(self.rows()) == before + len(names), what=f"negatives of {names}")
        return [row for row in self.rows() if row["input_key"] in names][-len(names) :]

    def status(self) -> dict[str, Any]:
        """Return the answer of `status --json`; {} where it fails."""
        answer = self.checkout.pipeline("status", "--json", code=None)
        return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}

    def is_idle(self) -> bool:
        """Whether `status` shows that no upload is pending."""
        return bool(self.status().get("backlog", {}).get("count") == 0)

    def is_working(self) -> bool:
        """Whether each pipeline's latest pass succeeded, so that the first boot is done."""
        try:
            found = self.status().get("pipelines", []) if self.machine.is_installed else []
        except (ValueError, ProcessLookupError):
            return False
        # Until a pipeline's packages are installed its passes fail.
        obstacles = [[one["obstacle"] for one in each["machines"]] for each in found]
        return obstacles == [[None]] * len(NAMES + COMMANDS)

    def secrets(self, names: Iterable[str]) -> list[str]:
        """Return secret outputs of the stack."""
        answer = self.checkout.pipeline("outputs", "--json", "--show-secrets")
        values = json.loads(answer.stdout)
        return [str(values[name]) for name in names]
