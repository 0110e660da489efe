"""Trove's guest agent: answers in the process that asks, and tells Trove how the database is.

What an instance has of users and databases lies in a file, since Trove's API and its task manager
are two processes that both ask. Built on Trove's own fake (`trove.tests.fakes.guestagent`).
"""

import fcntl
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

if "trove.tests.util" not in sys.modules:  # Trove's wheel has the fake without what it imports

    def _unquote_user_host(quoted: str) -> tuple[str, str]:
        name, at, host = unquote(quoted).rpartition("@")
        return (name, host) if at and host else (unquote(quoted), "%")

    sys.modules["trove.tests.util"] = ModuleType("trove.tests.util")
    sys.modules["trove.tests.util"].unquote_user_host = _unquote_user_host  # type: ignore[attr-defined]

from trove.guestagent.models import AgentHeartBeat
from trove.instance.models import DBInstance, InstanceServiceStatus
from trove.instance.service_status import ServiceStatuses
from trove.tests.fakes.guestagent import FakeGuest

FOLDER = Path(os.environ["STAND_IN_GUESTS"])
#: An instance whose name ends so does not come up.
FAILING = "GUEST_ERROR"
#: Seconds a database needs to come up, and between two looks at whether its machine is back.
STARTING, LOOKING = 1.0, 1.0


class _Guest(FakeGuest):  # type: ignore[misc]
    """One instance's agent."""

    def prepare(
        self, _memory: Any, _packages: Any, databases: Any, users: Any, **more: Any
    ) -> None:
        self.create_user(users or [])
        self.create_database(databases or [])
        self.overrides = more.get("overrides") or {}
        failing = DBInstance.find_by(id=self.id).name.endswith(FAILING)
        status = ServiceStatuses.FAILED if failing else ServiceStatuses.HEALTHY
        _later(lambda: _report(self.id, status))

    def stop_db(self, do_not_start_on_reboot: bool = False) -> None:
        """Before a resize: afterwards the machine starts anew, and its agent with it."""
        _report(self.id, ServiceStatuses.SHUTDOWN)
        if do_not_start_on_reboot:
            _later(lambda: _wake(self.id))


class _Agent:
    """What Trove's code holds; each call works on the file."""

    def __init__(self, identifier: str) -> None:
        self._id = identifier

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            with (FOLDER / self._id).open("a+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                guest = _Guest(self._id)
                stream.seek(0)
                if kept := stream.read():
                    guest.__dict__.update(pickle.loads(kept))  # noqa: S301 - our own file
                try:
                    return getattr(guest, name)(*arguments, **more)
                finally:
                    stream.seek(0)
                    stream.truncate()
                    stream.write(pickle.dumps(guest.__dict__))

        return call


def client(_context: Any, identifier: str, manager: Any = None) -> _Agent:
    """In place of trove.common.clients.guest_client."""
    return _Agent(identifier)


def _report(identifier: str, status: Any) -> None:
    row = InstanceServiceStatus.find_by(instance_id=identifier)
    row.status = status
    row.save()
    if not AgentHeartBeat.find_all(instance_id=identifier).count():
        AgentHeartBeat.create(instance_id=identifier)


def _wake(identifier: str) -> None:
    """Trove marks it PAUSED while its machine is away, and waits for any other word of it."""
    while InstanceServiceStatus.find_by(instance_id=identifier).status != ServiceStatuses.PAUSED:
        time.sleep(LOOKING)
    _report(identifier, ServiceStatuses.SHUTDOWN)


def _later(act: Any) -> None:
    timer = threading.Timer(STARTING, act)
    timer.daemon = True
    timer.start()
