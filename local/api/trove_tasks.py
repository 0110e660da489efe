"""Tasks behind Trove's API: servers are built, changed and removed, in threads.

A task is written into the instance's record before it begins and can be repeated, so a daemon that
was killed continues it after its next start.
"""

import ipaddress
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from local import postgres, processes
from local.api.state import DATABASES, CloudState, Record, now
from local.errors import LocalCloudError
from local.postgres import PostgreSQL

PAUSE = 0.2
"""The least seconds that a change takes, so that a client which does not wait for it fails."""


class InstanceTasks:
    """Performs tasks: build, access, resize_volume, resize_flavor, restart, delete."""

    def __init__(self, state: CloudState) -> None:
        self._records = state.records
        self._state = state
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def begin(self, record: Record) -> None:
        """Start a thread that performs the record's task."""
        threading.Thread(target=self._perform, args=(record["id"],), daemon=True).start()

    def resume(self) -> None:
        """Start the servers, and the tasks, that the daemon had before its restart."""
        for record in self._records.all(DATABASES):
            task = record["task"] or {"name": "boot"}
            self.change(record["id"], task=task)
            self.begin(record)

    def server(self, identifier: str) -> PostgreSQL:
        """Return the server of an instance; starts it if need be."""
        return postgres.start(self.folder(identifier))

    def folder(self, identifier: str) -> Path:
        """Return the folder of an instance's server."""
        return self._state.database_folder(identifier)

    def change(self, identifier: str, **changes: object) -> Record | None:
        """Change fields of an instance's record.

        The status and task of an instance that is being deleted do not change.

        Args:
            identifier: the instance's id.
            changes: the fields and their new values.

        Returns:
            The changed record, None if it is gone.
        """
        with self._records.lock:
            record = self._records.get(DATABASES, identifier)
            if record is not None:
                if record["status"] == "SHUTDOWN":
                    for name in ("status", "operating_status", "task"):
                        changes.pop(name, None)
                record.update(changes, updated=now())
                self._records.put(DATABASES, identifier, record)
            return record

    def change_access(self, identifier: str, access: dict[str, Any]) -> None:
        """Change who may reach the database, after the task that is being performed.

        Args:
            identifier: the instance's id.
            access: `is_public` and `allowed_cidrs`.
        """
        with self._records.lock:
            record = self._records.get(DATABASES, identifier)
            if record is None or record["task"]:
                self.change(identifier, pending_access=access)
                return
            task = {"name": "access", "access": access}
            self.begin(self.change(identifier, task=task) or record)

    def _perform(self, identifier: str) -> None:
        with self._turns[identifier]:  # a delete waits for the build that it ends
            record = self._records.get(DATABASES, identifier)
            if record is not None and record["task"]:
                self._perform_task(identifier, record)

    def _perform_task(self, identifier: str, record: Record) -> None:
        perform: Callable[[Record], None] = getattr(self, f"_{record['task']['name']}")
        try:
            perform(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, the instance is in ERROR
            traceback.print_exc()
            fault = {"message": str(error), "created": now(), "details": ""}
            self.change(identifier, status="ERROR", fault=fault, task=None)

    def _build(self, record: Record) -> None:
        for cidr in record["access"]["allowed_cidrs"]:
            if not is_firewall_cidr(cidr):
                raise LocalCloudError(
                    f"Failed to create security group for instance {record['id']}"
                )
        server = self.server(record["id"])
        for database in record["databases"]:
            _make_once(postgres.create_database, server, database)
        for user in record["users"]:
            password = record["task"]["passwords"][user["name"]]
            _make_once(postgres.create_user, server, user["name"], password)
            for database in user["databases"]:
                postgres.grant(server, user["name"], database)
        self.change(record["id"], port=server.port)
        time.sleep(PAUSE / 2)
        self._finish(record["id"])

    def _boot(self, record: Record) -> None:
        self.change(record["id"], port=self.server(record["id"]).port)
        if record["status"] == "ACTIVE":
            self._finish(record["id"])
        else:
            self.change(record["id"], task=None)

    def _access(self, record: Record) -> None:
        time.sleep(PAUSE)
        self.change(record["id"], access=record["task"]["access"])
        self._finish(record["id"])

    def _resize_volume(self, record: Record) -> None:
        time.sleep(PAUSE)
        self.change(record["id"], volume_size=record["task"]["size"])
        self._finish(record["id"])

    def _resize_flavor(self, record: Record) -> None:
        self._restart(record, flavor_id=record["task"]["flavor_id"])

    def _restart(self, record: Record, **changes: object) -> None:
        """Restart the server: its sessions end, and for a moment nobody can connect."""
        processes.end(self.folder(record["id"]), first=postgres.FAST_SHUTDOWN)
        time.sleep(PAUSE)
        self.change(record["id"], port=self.server(record["id"]).port, **changes)
        self._finish(record["id"])

    def _delete(self, record: Record) -> None:
        time.sleep(PAUSE / 2)
        postgres.stop(self.folder(record["id"]))
        self._records.remove(DATABASES, record["id"])

    def _finish(self, identifier: str) -> None:
        """End the task: the instance is healthy; begin the access change that waited for it."""
        with self._records.lock:
            record = self._records.get(DATABASES, identifier) or {}
            self.change(
                identifier,
                status="ACTIVE",
                operating_status="HEALTHY",
                task=None,
                pending_access=None,
            )
            if pending := record.get("pending_access"):
                self.change_access(identifier, pending)


def is_firewall_cidr(cidr: str) -> bool:
    """Whether a security group's rule can be made of the CIDR."""
    try:
        ipaddress.IPv4Interface(cidr)
    except ValueError:
        return False
    return True


def _make_once(make: Callable[..., None], server: PostgreSQL, *arguments: str) -> None:
    """Make a user or database unless an earlier attempt, which was killed, made it."""
    try:
        make(server, *arguments)
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.DuplicateObject):
        return
