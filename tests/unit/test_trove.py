"""The database service's client and providers against the local cloud's Trove and its traps."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pulumi.runtime import rpc

from infra.errors import DatabaseError
from infra.sdk import connect
from infra.trove import client, waiting
from infra.trove.client import Access
from infra.trove.providers import TroveInstanceProvider, TroveReadyProvider

if TYPE_CHECKING:
    from openstack.connection import Connection

pytestmark = pytest.mark.usefixtures("clouds_yaml")

MINE = "203.0.113.7/32"
MINUTES = 1.0
OWNER = TroveInstanceProvider()
WAITER = TroveReadyProvider()


@pytest.fixture(scope="module")
def environment(local_cloud: Any) -> Iterator[Path]:
    """As `clouds_yaml`, for what lives as long as the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(local_cloud.clouds_yaml))
        yield local_cloud.clouds_yaml


@pytest.fixture(scope="module")
def cloud(environment: Path) -> "Connection":
    assert environment.exists()
    return connect("local")


def inputs(cloud: "Connection", name: str, **overrides: Any) -> dict[str, Any]:
    """A TroveInstance's inputs as `infra/database.py` makes them."""
    return {
        "cloud": "local",
        "region": "RegionLocal",
        "name": name,
        "flavor_id": client.flavors(cloud)["standard.small"],
        "volume": 1,
        "datastore": "postgresql",
        "version": newest(cloud),
        "database": "pipeline_db",
        "admin": "db_admin",
        "user": "pipeline_worker",
        "allowed_cidrs": [MINE],
        "password_round": 1,
        "guarded": True,
        **overrides,
    }


def newest(cloud: "Connection") -> str:
    return next(v for v in client.versions(cloud, "postgresql") if v.startswith("17."))


def waited(id_: str, props: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    return {
        **{name: props[name] for name in ("cloud", "region", "allowed_cidrs")},
        "instance_id": id_,
        "settled": "",
        "wait_minutes": MINUTES,
        **overrides,
    }


class Up:
    """An instance that is up, and what the state would hold of it."""

    def __init__(self, id_: str, outs: dict[str, Any], ready: dict[str, Any]) -> None:
        self.id, self.outs, self.ready = id_, outs, ready

    def update(self, **changes: Any) -> None:
        """An `up` with other settings."""
        news = {**{k: v for k, v in self.outs.items() if not k.endswith("_password")}, **changes}
        assert OWNER.diff(self.id, self.outs, news).changes
        assert not OWNER.diff(self.id, self.outs, news).replaces
        self.outs = OWNER.update(self.id, self.outs, news).outs or {}

    def login(self, user: str, password: str) -> list[Any]:
        """Logs in where the ready resource says, and asks who it is."""
        with psycopg.connect(
            host=self.ready["public_ip"],
            port=self.ready["port"],
            dbname=self.outs["database"],
            user=self.outs[user],
            password=password,
            sslmode="disable",
            connect_timeout=10,
        ) as connection:
            return list(connection.execute("select current_user").fetchone() or ())


@pytest.fixture(scope="module")
def up(cloud: "Connection") -> Iterator[Up]:
    created = OWNER.create(inputs(cloud, "unit-db"))
    outs = created.outs or {}
    ready = WAITER.create(waited(created.id, outs)).outs or {}
    yield Up(created.id, outs, ready)
    OWNER.delete(created.id, outs)
    assert client.get(cloud, created.id) is None


def test_up_with_access_from_the_start(cloud: "Connection", up: Up) -> None:
    instance = client.get(cloud, up.id)
    assert instance is not None
    assert instance.access == Access(is_public=True, allowed_cidrs=(MINE,))
    assert up.ready["public_ip"] == instance.host
    assert up.ready["port"] == instance.port


def test_users_can_log_in(up: Up) -> None:
    assert up.login("admin", up.outs["admin_password"]) == ["db_admin"]
    assert up.login("user", up.outs["user_password"]) == ["pipeline_worker"]
    with pytest.raises(psycopg.OperationalError):
        up.login("admin", up.outs["user_password"])


def test_worker_gets_no_database_of_trove(cloud: "Connection", up: Up) -> None:
    users = cloud.database.get(f"/instances/{up.id}/users").json()["users"]
    databases = {user["name"]: user["databases"] for user in users}
    assert databases == {"db_admin": [{"name": "pipeline_db"}], "pipeline_worker": []}


def test_access_changes_in_place(cloud: "Connection", up: Up) -> None:
    wider = [MINE, "198.51.100.0/24"]
    up.update(allowed_cidrs=wider)
    instance = client.get(cloud, up.id)
    assert instance is not None
    assert instance.access.same_as(Access(is_public=True, allowed_cidrs=tuple(wider)))
    assert waiting.obstacle(instance, instance.access) == ""


def test_waiting_never_goes_stale(up: Up) -> None:
    """Other ranges make Ready wait again, on what it is told now."""
    before = waited(up.id, {**up.outs, "allowed_cidrs": [MINE]})
    now = waited(up.id, {**up.outs, "allowed_cidrs": ["198.51.100.0/24"]})
    assert WAITER.diff(up.id, {**before, "public_ip": "x"}, now).changes
    assert not WAITER.diff(up.id, {**now, "public_ip": "x"}, now).changes
    assert WAITER.diff(up.id, now, {**now, "settled": "2 GiB"}).changes
    assert WAITER.diff(up.id, now, {**now, "instance_id": "other"}).replaces == ["instance_id"]


def test_wait_that_fails_says_so(cloud: "Connection", up: Up) -> None:
    with pytest.raises(DatabaseError, match=r"other ranges than asked for.*run `up` again"):
        WAITER.create(waited(up.id, up.outs, allowed_cidrs=["192.0.2.1/32"], wait_minutes=0.01))
    assert client.get(cloud, up.id) is not None


def test_order_of_ranges_says_nothing(up: Up) -> None:
    news = {**up.outs, "allowed_cidrs": list(reversed(up.outs["allowed_cidrs"]))}
    assert not OWNER.diff(up.id, up.outs, news).changes


def test_volume_grows_in_place(cloud: "Connection", up: Up) -> None:
    up.update(volume=2)
    instance = client.get(cloud, up.id)
    assert instance is not None
    assert instance.volume == 2


def test_volume_never_shrinks(up: Up) -> None:
    smaller = {**up.outs, "volume": 1}
    (failure,) = OWNER.check({**up.outs, "volume": 2}, smaller).failures
    assert "volumes only grow" in failure.reason
    with pytest.raises(DatabaseError, match=r"databaseVolumeSize is 1 GiB.*set 2 or more"):
        OWNER.update(up.id, {**up.outs, "volume": 2}, smaller)


def test_flavor_changes_in_place(cloud: "Connection", up: Up) -> None:
    flavors = client.flavors(cloud)
    other = next(id_ for id_ in flavors.values() if id_ != up.outs["flavor_id"])
    up.update(flavor_id=other)
    instance = client.get(cloud, up.id)
    assert instance is not None
    assert instance.flavor_id == other


def test_password_round_changes_both_in_place(up: Up) -> None:
    old = up.outs["admin_password"], up.outs["user_password"]
    up.update(password_round=2)
    assert up.outs["admin_password"] not in old
    assert up.outs["user_password"] not in old
    assert up.login("admin", up.outs["admin_password"])
    assert up.login("user", up.outs["user_password"])
    with pytest.raises(psycopg.OperationalError):
        up.login("admin", old[0])


def test_update_cut_off_is_made_again(cloud: "Connection", up: Up) -> None:
    """The state still holds the old settings though the service has the new ones."""
    before = dict(up.outs)
    up.update(allowed_cidrs=[MINE, "192.0.2.0/24"], volume=3)
    up.outs = before
    up.update(allowed_cidrs=[MINE, "192.0.2.0/24"], volume=3)
    instance = client.get(cloud, up.id)
    assert instance is not None
    assert instance.volume == 3


def test_refresh_sees_what_changed_behind_pulumi(cloud: "Connection", up: Up) -> None:
    client.set_access(cloud, up.id, Access(is_public=True, allowed_cidrs=("192.0.2.9/32",)))
    waiting.until_ready(
        cloud, up.id, None, MINUTES, lambda i: "192.0.2.9/32" in i.access.allowed_cidrs
    )
    read = OWNER.read(up.id, up.outs).outs or {}
    assert read["allowed_cidrs"] == ["192.0.2.9/32"]
    assert OWNER.diff(up.id, read, up.outs).changes
    assert WAITER.diff(
        up.id, WAITER.read(up.id, waited(up.id, up.outs)).outs or {}, waited(up.id, up.outs)
    ).changes
    up.outs = OWNER.update(up.id, read, up.outs).outs or {}
    assert OWNER.read(up.id, up.outs).outs == up.outs


def test_twin_is_reported_and_never_adopted(cloud: "Connection", up: Up) -> None:
    with pytest.raises(DatabaseError, match=rf"unit-db \({up.id}\) that is not in this stack"):
        OWNER.create(inputs(cloud, "unit-db"))
    assert len(client.find(cloud, "unit-db")) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "other"}, ["name"]),
        ({"database": "other"}, ["database"]),
        ({"admin": "other"}, ["admin"]),
        ({"cloud": "other"}, ["cloud"]),
        ({"version": "18.1"}, ["version"]),
        ({"version": "17.99"}, []),
        ({"allowed_cidrs": []}, []),
        ({"name": rpc.UNKNOWN}, []),
    ],
)
def test_what_would_lose_data_is_refused_while_guarded(
    up: Up, change: dict[str, Any], named: list[str]
) -> None:
    news = {**up.outs, **change}
    failures = OWNER.check(up.outs, news).failures
    assert [failure.property for failure in failures] == named
    assert all("dump the data" in failure.reason for failure in failures)
    assert OWNER.check(up.outs, {**news, "guarded": False}).failures == []
    diff = OWNER.diff(up.id, up.outs, {**news, "guarded": False})
    assert (diff.replaces or []) == named


def test_newer_minor_version_changes_nothing(up: Up) -> None:
    news = {**up.outs, "version": "17.99"}
    assert not OWNER.diff(up.id, up.outs, news).changes


def test_gone_instance(cloud: "Connection") -> None:
    props = inputs(cloud, "gone-db")
    assert OWNER.read("00000000-0000-0000-0000-000000000000", props).id == ""
    OWNER.delete("00000000-0000-0000-0000-000000000000", props)
    with pytest.raises(DatabaseError, match=r"is gone: run `pulumi refresh`"):
        WAITER.create(waited("00000000-0000-0000-0000-000000000000", props))


REFUSED = [
    ({"flavor_id": "nope"}, r"refuses POST /instances \(400\): Resource nope cannot be found"),
    ({"version": "99"}, r"Datastore version '99' cannot be found"),
    ({"allowed_cidrs": ["0.0.0.0/0"]}, r"\(400\)"),
    ({"allowed_cidrs": ["10.0.0.0/21"]}, r"\(400\)"),
    ({"allowed_cidrs": ["::/0"]}, r"\(400\)"),
    ({"allowed_cidrs": [MINE, MINE]}, r"\(400\)"),
]


@pytest.mark.parametrize(("overrides", "sentence"), REFUSED)
def test_refusal_is_one_sentence(
    cloud: "Connection", overrides: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DatabaseError, match=sentence) as refusal:
        OWNER.create(inputs(cloud, "refused-db", **overrides))
    assert "\n" not in str(refusal.value)
    assert client.find(cloud, "refused-db") == []
