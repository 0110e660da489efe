"""What `examples/NAME/example.py` gets and returns.

The file is optional, and so is each of its functions: `prepare(setup: Setup, plan: Plan) -> Plan`
runs before the stack is deployed, `send(deployed: Deployed) -> Sequence[str]` once it is, and
`show(results: Results) -> None` after its runs have ended. `send` may bring data in by another way
than the object store, and returns the keys of the objects that it made in the first input bucket.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.stacks.target import Target
from cli.terminal import print_result
from local import processes
from local.ports import free_port

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """What is deployed and sent.

    Attributes:
        pipelines: Name -> definition, as pipelines.yaml has them.
        data: A folder; each file in it is sent to the pipeline without `from`.
        secrets: Secret settings of the stack, which pipelines name in `secrets`.
        settings: Further settings of the stack, such as `mqtt`.
    """

    pipelines: Mapping[str, Any]
    data: Path
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """What an example may use before its stack is deployed.

    Attributes:
        source: The example's folder in the checkout, which is only read.
        cache: A folder of the user's cache, which is kept.
        folder: A folder that is removed with the stack.
        host: The address by which the stack's machine reaches servers on this computer's loopback.
    """

    source: Path
    cache: Path
    folder: Path
    host: str

    def start_server(
        self, name: str, argv_for_port: Callable[[int], Sequence[str]], seconds: float = 60
    ) -> int:
        """Start a server, which ends with the stack, and wait until it accepts connections.

        Args:
            name: Its name; `folder/NAME.log` gets its output.
            argv_for_port: Returns its command line for a port of the loopback.
            seconds: How long to wait.

        Returns:
            Its port.

        Raises:
            CommandError: It did not start.
        """
        port = free_port()
        processes.start(self.folder, name, argv_for_port(port))
        deadline = time.monotonic() + seconds
        while processes.is_running(self.folder, name) and time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex((_LOOPBACK, port)) == 0:
                    return port
            time.sleep(0.05)
        printed = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        last = (printed.strip().splitlines() or ["it printed nothing"])[-1]
        raise CommandError(f"The example's server '{name}' did not start: {last}")


@dataclass(frozen=True)
class Deployed:
    """What an example may use once its stack is deployed.

    Attributes:
        setup: As before.
        plan: What was deployed.
        target: The stack.
        read: Returns the rows of a SELECT.
    """

    setup: Setup
    plan: Plan
    target: Target
    read: Callable[[str], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Results:
    """What an example may show once its runs have ended.

    Attributes:
        folder: Has every result as `PIPELINE/KEY`.
        query: Prints the table of a SELECT, as `./pipeline sql` does.
    """

    folder: Path
    query: Callable[[str], None]

    def files(self, pipeline: str) -> list[Path]:
        """Return the results of a pipeline, sorted by key."""
        return sorted(path for path in (self.folder / pipeline).rglob("*") if path.is_file())

    def sql(self, query: str) -> None:
        """Print a query as one would type it, and its table."""
        self.say(f'\n./pipeline sql "{query}"')
        self.query(query)
        self.say("")

    def say(self, text: str) -> None:
        """Print lines."""
        print_result(text)
