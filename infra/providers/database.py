"""Dynamic providers for the database instance: one owns it, the other waits for it.

There are two because a Python dynamic provider cannot return an id and fail: after a wait that
failed, the instance is in the state, and the next `up` continues waiting.
"""

import secrets
from typing import Any

from pulumi import dynamic as engine
from pulumi.runtime import rpc

from clients import readiness, trove
from clients.connection import connect
from clients.errors import DatabaseError
from clients.trove import Access
from infra.providers import dynamic

#: 32 random bytes; the alphabet needs no quoting in a URL, a shell or SQL.
PASSWORD_BYTES = 32
REPLACE = ("cloud", "region", "name", "datastore", "database", "admin", "user")
UPDATE = ("allowed_cidrs", "volume", "flavor_id", "password_round")


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _access(props: dict[str, Any]) -> Access:
    return Access(is_public=True, allowed_cidrs=tuple(props["allowed_cidrs"]))


def _major(version: Any) -> str:
    return str(version).partition(".")[0]


class TroveInstanceProvider(dynamic.Provider):
    """Owns a PostgreSQL instance with one database and two users.

    Inputs: cloud, region, name, flavor_id, volume (GiB), datastore, version, database, admin, user,
    allowed_cidrs, password_round, guarded (whether data are protected). Further outputs (secret):
    admin_password, user_password. Changes that need a new instance are refused while guarded.
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> engine.CheckResult:
        """Refuse a smaller volume, and what would replace an instance whose data are protected."""
        failures = []
        for name in self._replaces(olds, news) if olds and news.get("guarded") else ():
            failures.append(
                engine.CheckFailure(
                    name,
                    f"{olds.get(name)!r} -> {news.get(name)!r} would remove the database with its"
                    " data: set it back, or dump the data, set protectData to false, and run `up`.",
                )
            )
        old, new = olds.get("volume"), news.get("volume")
        if old is not None and new is not None and int(new) < int(old):
            failures.append(engine.CheckFailure("volume", trove.no_shrinking(int(new), int(old))))
        return engine.CheckResult(news, failures)

    def _replaces(self, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        found = [
            name
            for name in dynamic.differing(olds, news, REPLACE)
            if rpc.UNKNOWN not in (olds.get(name), news.get(name))
        ]
        if _major(olds.get("version")) != _major(news.get("version")):
            found.append("version")
        return found

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Compare without the order of ranges; a name is unique, so the old instance goes first."""
        replaces = self._replaces(olds, news)
        changes = bool(replaces or dynamic.differing(_in_order(olds), _in_order(news), UPDATE))
        return engine.DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Order an instance, and return as soon as Trove has accepted the order."""
        cloud = connect(props["cloud"], props["region"])
        name = props["name"]
        for twin in trove.find(cloud, name):
            raise DatabaseError(
                f"Cloud {props['cloud']!r} has a database instance {name} ({twin.id}) that is not"
                " in this stack's state, perhaps from an interrupted `up`: remove it there if"
                " its data are not needed, or choose another stack name."
            )
        passwords = {"admin_password": _password(), "user_password": _password()}
        id_ = trove.create(
            cloud,
            name=name,
            flavor_id=props["flavor_id"],
            volume=int(props["volume"]),
            datastore=props["datastore"],
            version=props["version"],
            database=props["database"],
            users=[
                {
                    "name": props["admin"],
                    "password": passwords["admin_password"],
                    "databases": [{"name": props["database"]}],
                },
                # No database: Trove would grant ALL on it; migrations grant what it needs.
                {"name": props["user"], "password": passwords["user_password"], "databases": []},
            ],
            access=_access(props),
        )
        return engine.CreateResult(id_, {**props, **passwords})

    def read(self, id_: str, props: dict[str, Any]) -> engine.ReadResult:
        """Report access, volume and flavor as they are, so that the next `up` corrects them."""
        instance = trove.get(connect(props["cloud"], props["region"]), id_)
        if instance is None:
            return engine.ReadResult("", {})
        found = dict(props)
        if not instance.access.same_as(_access(props)):
            found["allowed_cidrs"] = list(instance.access.allowed_cidrs)
        found["volume"] = instance.volume or props["volume"]
        found["flavor_id"] = instance.flavor_id or props["flavor_id"]
        return engine.ReadResult(id_, found)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Change access, volume, flavor and passwords; one that was cut off is completed."""
        cloud, access = connect(news["cloud"], news["region"]), _access(news)
        readiness.change(cloud, id_, access, int(news["volume"]), news["flavor_id"])
        passwords = {name: olds[name] for name in ("admin_password", "user_password")}
        if olds.get("password_round") != news["password_round"]:
            passwords = {name: _password() for name in passwords}
            users = {news[role]: passwords[f"{role}_password"] for role in ("admin", "user")}
            trove.set_passwords(cloud, id_, users)
            readiness.wait_until_ready(cloud, id_, access, readiness.CHANGE_MINUTES)
        # The cloud upgrades minor versions itself: the version stays that of the creation.
        return engine.UpdateResult({**news, **passwords, "version": olds["version"]})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the instance with its data, and wait until it is gone."""
        readiness.delete_and_wait(connect(props["cloud"], props["region"]), id_)


class TroveReadyProvider(dynamic.Provider):
    """Waits until the instance is healthy, admits exactly `allowed_cidrs` and has an address.

    Inputs: cloud, region, instance_id, allowed_cidrs, settled (a text that changes with whatever
    makes the instance busy again), wait_minutes. Further outputs: public_ip, port.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Wait again after a change of the instance."""
        return dynamic.diff(
            _in_order(olds),
            _in_order(news),
            replace=("instance_id",),
            update=("cloud", "region", "allowed_cidrs", "settled"),
        )

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Wait for the instance."""
        return engine.CreateResult(props["instance_id"], self._wait(props))

    def read(self, id_: str, props: dict[str, Any]) -> engine.ReadResult:
        """Report ranges and address as they are."""
        instance = trove.get(connect(props["cloud"], props["region"]), id_)
        if instance is None:
            return engine.ReadResult("", {})
        # The ranges it has: where they are not those asked for, the next `up` waits again.
        cidrs = list(instance.access.allowed_cidrs)
        found = {"allowed_cidrs": cidrs, "public_ip": instance.host, "port": instance.port}
        return engine.ReadResult(id_, {**props, **found})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Wait for the instance again."""
        return engine.UpdateResult(self._wait(news))

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        instance = readiness.wait_until_ready(
            connect(props["cloud"], props["region"]),
            props["instance_id"],
            _access(props),
            float(props["wait_minutes"]),
        )
        return {**props, "public_ip": instance.host, "port": instance.port}


def _in_order(props: dict[str, Any]) -> dict[str, Any]:
    """Return `props` with the ranges sorted: their order has no meaning."""
    cidrs = props.get("allowed_cidrs")
    if not isinstance(cidrs, list):
        return props
    return {**props, "allowed_cidrs": sorted(str(cidr) for cidr in cidrs)}
