"""A PostgreSQL that is there already, in place of one that Trove makes."""

from dataclasses import dataclass, field

import pulumi

from infra.reader import Reader

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
_PORTS = (1, 65535)


@dataclass(frozen=True)
class Existing:
    """Where it is, and its two users: the owner of the database, and the worker, with no rights."""

    host: str
    port: int
    admin: str
    user: str
    admin_password: str = field(repr=False)
    user_password: str = field(repr=False)


def read(reader: Reader) -> Existing:
    """From the stack's settings; meaningless where `reader` then has errors."""
    role = "a user of the existing database"
    whose = "the password of {}, with `--secret`"
    admin = reader.text("databaseAdmin", needed=role, pattern=_NAME, like="a name such as db_admin")
    user = reader.text("databaseUser", needed=role, pattern=_NAME, like="a name such as worker")
    if admin and admin == user:
        reader.refuse(
            f"databaseAdmin and databaseUser are both {user!r}: the worker must not own the tables,"
            " so make it a user of its own."
        )
    return Existing(
        host=reader.text(
            "databaseHost",
            needed="the existing database's host, as the machine reaches it",
            pattern=r"[A-Za-z0-9.\-:]+",
            like="a name or an address, without a port",
        ),
        port=reader.integer("databasePort", *_PORTS),
        admin=admin,
        user=user,
        admin_password=reader.text("databaseAdminPassword", needed=whose.format("databaseAdmin")),
        user_password=reader.text("databaseUserPassword", needed=whose.format("databaseUser")),
    )


class ExistingDatabase:
    """What the machine is told of it. Nothing of it is made, changed or removed."""

    def __init__(self, existing: Existing) -> None:
        self.admin, self.user = existing.admin, existing.user
        self.host = pulumi.Output.from_input(existing.host)
        self.port = pulumi.Output.from_input(existing.port)
        self.admin_password = pulumi.Output.secret(existing.admin_password)
        self.user_password = pulumi.Output.secret(existing.user_password)
