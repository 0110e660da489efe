"""Dynamic providers for the database instance: one owns it, the other waits for it.

Two, because a Python dynamic provider cannot return an id and fail: a wait that fails then leaves
the instance in the state, and the next `up` waits on.
"""

import secrets
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    UpdateResult,
)
from pulumi.runtime import rpc

from infra.errors import DatabaseError
from infra.providers import dynamic, waiting
from infra.providers import trove as client
from infra.providers.trove import Access
from infra.sdk import connect

#: Minutes for each change in place to end.
CHANGE_MINUTES = 60.0
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
    allowed_cidrs, password_round, guarded. Outputs: those, admin_password, user_password (secrets).
    Access, volume, flavor and passwords change in place. A newer minor version is left to the
    cloud's own upgrade; what only a new instance could give is refused while data are guarded.
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        failures = []
        for name in self._replaces(olds, news) if olds and news.get("guarded") else ():
            failures.append(
                CheckFailure(
                    name,
                    f"{olds.get(name)!r} -> {news.get(name)!r} would remove the database with its"
                    " data: set it back, or dump the data, set protectData to false, and go up.",
                )
            )
        old, new = olds.get("volume"), news.get("volume")
        if old is not None and new is not None and int(new) < int(old):
            failures.append(CheckFailure("volume", _no_shrinking(int(new), int(old))))
        return CheckResult(news, failures)

    def _replaces(self, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        found = [
            name
            for name in dynamic.differing(olds, news, REPLACE)
            if rpc.UNKNOWN not in (olds.get(name), news.get(name))
        ]
        if _major(olds.get("version")) != _major(news.get("version")):
            found.append("version")
        return found

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = self._replaces(olds, news)
        changes = bool(replaces or dynamic.differing(_in_order(olds), _in_order(news), UPDATE))
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        cloud = connect(props["cloud"], props["region"])
        name = props["name"]
        for twin in client.find(cloud, name):
            raise DatabaseError(
                f"Cloud {props['cloud']!r} has a database instance {name} ({twin.id}) that is not"
                " in this stack's state, perhaps of an `up` that was cut off: remove it there if"
                " data are worth nothing, or choose another stack name."
            )
        passwords = {"admin_password": _password(), "user_password": _password()}
        id_ = client.create(
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
        return CreateResult(id_, {**props, **passwords})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        instance = client.get(connect(props["cloud"], props["region"]), id_)
        if instance is None:
            return ReadResult("", {})
        found = dict(props)
        if not instance.access.same_as(_access(props)):
            found["allowed_cidrs"] = list(instance.access.allowed_cidrs)
        found["volume"] = instance.volume or props["volume"]
        found["flavor_id"] = instance.flavor_id or props["flavor_id"]
        return ReadResult(id_, found)

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Brings the instance there step by step, from what it is and not from what it was.

        So an update cut off halfway is simply made again. One request at a time, each only when
        the service is ready for it: it answers 422 otherwise.
        """
        cloud = connect(news["cloud"], news["region"])
        access, volume, flavor = _access(news), int(news["volume"]), news["flavor_id"]
        instance = waiting.until_ready(cloud, id_, None, CHANGE_MINUTES)
        if volume < instance.volume:
            raise DatabaseError(_no_shrinking(volume, instance.volume))
        if not instance.access.same_as(access):
            client.set_access(cloud, id_, access)
            waiting.until_ready(cloud, id_, access, CHANGE_MINUTES)
        if volume > instance.volume:
            client.grow_volume(cloud, id_, volume)
            waiting.until_ready(cloud, id_, access, CHANGE_MINUTES, lambda i: i.volume >= volume)
        if flavor != instance.flavor_id:
            client.set_flavor(cloud, id_, flavor)
            waiting.until_ready(cloud, id_, access, CHANGE_MINUTES, lambda i: i.flavor_id == flavor)
        passwords = {name: olds[name] for name in ("admin_password", "user_password")}
        if olds.get("password_round") != news["password_round"]:
            passwords = {name: _password() for name in passwords}
            client.set_passwords(
                cloud,
                id_,
                {
                    news["admin"]: passwords["admin_password"],
                    news["user"]: passwords["user_password"],
                },
            )
            waiting.until_ready(cloud, id_, access, CHANGE_MINUTES)
        # The version stays what the instance was made with.
        return UpdateResult({**news, **passwords, "version": olds["version"]})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        waiting.remove(connect(props["cloud"], props["region"]), id_)


class TroveReadyProvider(dynamic.Provider):
    """Waits until the instance is healthy, admits exactly `allowed_cidrs` and has an address.

    Inputs: cloud, region, instance_id, allowed_cidrs, settled (anything that changes when the
    instance may be restless again), wait_minutes. Outputs: those, public_ip, port.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return dynamic.diff(
            _in_order(olds),
            _in_order(news),
            replace=("instance_id",),
            update=("cloud", "region", "allowed_cidrs", "settled"),
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["instance_id"], self._wait(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        instance = client.get(connect(props["cloud"], props["region"]), id_)
        if instance is None:
            return ReadResult("", {})
        # The ranges it has: where they are not those asked for, the next `up` waits again.
        cidrs = list(instance.access.allowed_cidrs)
        found = {"allowed_cidrs": cidrs, "public_ip": instance.host, "port": instance.port}
        return ReadResult(id_, {**props, **found})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._wait(news))

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        instance = waiting.until_ready(
            connect(props["cloud"], props["region"]),
            props["instance_id"],
            _access(props),
            float(props["wait_minutes"]),
        )
        return {**props, "public_ip": instance.host, "port": instance.port}


def _in_order(props: dict[str, Any]) -> dict[str, Any]:
    """`props` with the ranges sorted: their order says nothing."""
    cidrs = props.get("allowed_cidrs")
    if not isinstance(cidrs, list):
        return props
    return {**props, "allowed_cidrs": sorted(str(cidr) for cidr in cidrs)}


def _no_shrinking(wanted: int, there: int) -> str:
    return (
        f"databaseVolumeSize is {wanted} GiB but the volume has {there} GiB, and volumes only grow:"
        f" set {there} or more."
    )
