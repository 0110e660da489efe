"""What happens behind Trove's API: servers built, changed and removed, in threads.

Each task is written into the instance's record before it begins and can be done twice, so a
killed daemon takes up where it was.
"""

import threading
import time
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any

import psycopg

from local import postgres, processes
from local.api import trove_checks
from local.api.cloud import Cloud, now
from local.api.records import Record
from local.errors import LocalCloudError
from local.layout import DATABASES
from local.postgres import PostgreSQL

PAUSE = 0.2
"""Seconds that a change takes at the least, so that a client who does not wait is caught."""


class Guest:
    """Carries out tasks: build, access, resize_volume, resize_flavor, restart, delete."""

    def __init__(self, cloud: Cloud) -> None:
        self._records = cloud.records
        self._folder = cloud.folder / DATABASES
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def begin(self, record: Record) -> None:
        """Start the record's task in a thread."""
        threading.Thread(target=self._perform, args=(record["id"],), daemon=True).start()

    def resume(self) -> None:
        """After a start of the daemon: servers up again, tasks taken up."""
        for record in self._records.all(DATABASES):
            task = record["task"] or {"name": "boot"}
            self.change(record["id"], task=task)
            self.begin(record)

    def server(self, identifier: str) -> PostgreSQL:
        """The running server of an instance."""
        return postgres.start(self.home(identifier))

    def home(self, identifier: str) -> Path:
        """The folder of its PostgreSQL."""
        return self._folder / identifier

    def change(self, identifier: str, **changes: object) -> Record | None:
        """Write changes into a record, unless it is gone; what is being deleted stays so."""
        with self._records.lock:
            record = self._records.get(DATABASES, identifier)
            if record is not None:
                if record["status"] == "SHUTDOWN":
                    for name in ("status", "operating_status", "task"):
                        changes.pop(name, None)
                record.update(changes, updated=now())
                self._records.put(DATABASES, identifier, record)
            return record

    def _perform(self, identifier: str) -> None:
        with self._turns[identifier]:  # a delete waits for the build it ends
            record = self._records.get(DATABASES, identifier)
            if record is not None and record["task"]:
                self._perform_task(identifier, record)

    def _perform_task(self, identifier: str, record: Record) -> None:
        try:
            getattr(self, f"_{record['task']['name']}")(record)
        except Exception as error:  # noqa: BLE001 - whatever it was, the instance is in ERROR
            traceback.print_exc()
            fault = {"message": str(error), "created": now(), "details": ""}
            self.change(identifier, status="ERROR", fault=fault, task=None)

    def admit(self, identifier: str, access: dict[str, Any]) -> None:
        """Change who may reach the database, after what is under way."""
        with self._records.lock:
            record = self._records.get(DATABASES, identifier)
            if record is None or record["task"]:
                self.change(identifier, admit=access)
                return
            task = {"name": "access", "access": access}
            self.begin(self.change(identifier, task=task) or record)

    def _build(self, record: Record) -> None:
        for cidr in record["access"]["allowed_cidrs"]:
            if not trove_checks.firewall_takes(cidr):
                raise LocalCloudError(
                    f"Failed to create security group for instance {record['id']}"
                )
        server = self.server(record["id"])
        for database in record["databases"]:
            _once(postgres.create_database, server, database)
        for user in record["users"]:
            password = record["task"]["passwords"][user["name"]]
            _once(postgres.create_user, server, user["name"], password)
            for database in user["databases"]:
                postgres.grant(server, user["name"], database)
        self.change(record["id"], port=server.port)
        time.sleep(PAUSE / 2)
        self._healthy(record["id"])

    def _boot(self, record: Record) -> None:
        self.change(record["id"], port=self.server(record["id"]).port)
        if record["status"] == "ACTIVE":
            self._healthy(record["id"])
        else:
            self.change(record["id"], task=None)

    def _access(self, record: Record) -> None:
        time.sleep(PAUSE)
        self.change(record["id"], access=record["task"]["access"])
        self._healthy(record["id"])

    def _resize_volume(self, record: Record) -> None:
        time.sleep(PAUSE)
        self.change(record["id"], volume_size=record["task"]["size"])
        self._healthy(record["id"])

    def _resize_flavor(self, record: Record) -> None:
        self._restart(record, flavor_id=record["task"]["flavor_id"])

    def _restart(self, record: Record, **changes: object) -> None:
        """Its sessions end, and for a moment nobody can connect."""
        processes.end(self.home(record["id"]), first=postgres.FAST_SHUTDOWN)
        time.sleep(PAUSE)
        self.change(record["id"], port=self.server(record["id"]).port, **changes)
        self._healthy(record["id"])

    def _delete(self, record: Record) -> None:
        time.sleep(PAUSE / 2)
        postgres.stop(self.home(record["id"]))
        self._records.remove(DATABASES, record["id"])

    def _healthy(self, identifier: str) -> None:
        with self._records.lock:
            record = self._records.get(DATABASES, identifier) or {}
            self.change(
                identifier, status="ACTIVE", operating_status="HEALTHY", task=None, admit=None
            )
            if waiting := record.get("admit"):
                self.admit(identifier, waiting)


def _once(make: object, server: PostgreSQL, *arguments: str) -> None:
    """Make a user or database that an earlier, killed try may have made."""
    try:
        make(server, *arguments)  # type: ignore[operator]
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.DuplicateObject):
        return
