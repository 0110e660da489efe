"""The database's Pulumi providers: what they promise on every Trove that a suite has."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from pulumi.runtime import rpc

from clients import readiness
from clients import trove as client
from clients.errors import DatabaseError
from clients.trove import Access, Instance
from infra.providers.database import TroveInstanceProvider, TroveReadyProvider
from tests.eventually import eventually
from tests.trove.service import ADMIN, DATABASE, MINE, SECONDS, WORKER, Service

MINUTES = SECONDS / 60
OWNER, WAITER = TroveInstanceProvider(), TroveReadyProvider()
MISSING_ID = "00000000-0000-0000-0000-000000000000"


def inputs(trove: Service, name: str, **changes: Any) -> dict[str, Any]:
    """A TroveInstance's inputs as `infra/database.py` makes them."""
    return {
        "cloud": trove.entry,
        "region": trove.region,
        "name": name,
        "flavor_id": trove.flavor(trove.small),
        "volume": 1,
        "datastore": "postgresql",
        "version": trove.version(),
        "database": DATABASE,
        "admin": ADMIN,
        "user": WORKER,
        "allowed_cidrs": [MINE],
        "password_round": 1,
        "guarded": True,
        **changes,
    }


def waited(id_: str, props: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A TroveReady's inputs."""
    return {
        **{name: props[name] for name in ("cloud", "region", "allowed_cidrs")},
        "instance_id": id_,
        "settled": "",
        "wait_minutes": MINUTES,
        **changes,
    }


class Up:
    """An instance that is up, and what the state would hold of it."""

    def __init__(self, trove: Service, id_: str, outs: dict[str, Any]) -> None:
        self.trove, self.id, self.outs = trove, id_, outs
        self.ready = WAITER.create(waited(id_, outs)).outs or {}

    def update(self, **changes: Any) -> None:
        """An `up` with other settings."""
        news = {**{k: v for k, v in self.outs.items() if not k.endswith("_password")}, **changes}
        assert OWNER.diff(self.id, self.outs, news).changes
        assert not OWNER.diff(self.id, self.outs, news).replaces
        self.outs = OWNER.update(self.id, self.outs, news).outs or {}

    def now(self) -> Instance:
        """What the service has."""
        instance = client.get(self.trove.cloud, self.id)
        assert instance is not None
        return instance


class ProviderPromises:
    """In order: later tests have what earlier ones changed."""

    @pytest.fixture(scope="class")
    @classmethod
    def up(cls, trove: Service) -> Iterator[Up]:
        """Made by the providers, and removed by them."""
        created = OWNER.create(inputs(trove, "promised"))
        up = Up(trove, created.id, created.outs or {})
        yield up
        OWNER.delete(created.id, up.outs)
        assert client.get(trove.cloud, created.id) is None

    def test_ready_with_access_from_the_start(self, up: Up) -> None:
        instance = up.now()
        assert instance.access == Access(is_public=True, allowed_cidrs=(MINE,))
        assert (up.ready["public_ip"], up.ready["port"]) == (instance.host, instance.port)
        assert readiness.pending_reason(instance, instance.access) == ""

    def test_worker_gets_no_database_of_trove(self, trove: Service, up: Up) -> None:
        users = trove.api.get(f"/instances/{up.id}/users").json()["users"]
        databases = {user["name"]: user["databases"] for user in users}
        assert databases == {ADMIN: [{"name": DATABASE}], WORKER: []}

    def test_access_changes_in_place(self, up: Up) -> None:
        wider = [MINE, "198.51.100.0/24"]
        up.update(allowed_cidrs=wider)
        asked = Access(is_public=True, allowed_cidrs=tuple(wider))
        assert up.now().access.same_as(asked)
        assert readiness.pending_reason(up.now(), asked) == ""

    def test_changed_ranges_are_waited_for_again(self, up: Up) -> None:
        """Other ranges make Ready wait again, for the new ones."""
        before = waited(up.id, {**up.outs, "allowed_cidrs": [MINE]})
        now = waited(up.id, {**up.outs, "allowed_cidrs": ["198.51.100.0/24"]})
        assert WAITER.diff(up.id, {**before, "public_ip": "x"}, now).changes
        assert not WAITER.diff(up.id, {**now, "public_ip": "x"}, now).changes
        assert WAITER.diff(up.id, now, {**now, "settled": "2 GiB"}).changes
        assert WAITER.diff(up.id, now, {**now, "instance_id": "other"}).replaces == ["instance_id"]

    def test_wait_that_times_out_says_why(self, up: Up) -> None:
        with pytest.raises(DatabaseError, match=r"other ranges than asked for.*run `up` again"):
            WAITER.create(waited(up.id, up.outs, allowed_cidrs=["192.0.2.1/32"], wait_minutes=0.01))
        assert up.now()

    def test_order_of_ranges_is_ignored(self, up: Up) -> None:
        news = {**up.outs, "allowed_cidrs": list(reversed(up.outs["allowed_cidrs"]))}
        assert not OWNER.diff(up.id, up.outs, news).changes

    def test_volume_grows_in_place(self, up: Up) -> None:
        up.update(volume=2)
        assert up.now().volume == 2

    def test_volume_never_shrinks(self, up: Up) -> None:
        smaller = {**up.outs, "volume": 1}
        (failure,) = OWNER.check({**up.outs, "volume": 2}, smaller).failures
        assert "volumes only grow" in failure.reason
        with pytest.raises(DatabaseError, match=r"databaseVolumeSize is 1 GiB.*set 2 or more"):
            OWNER.update(up.id, {**up.outs, "volume": 2}, smaller)

    def test_flavor_changes_in_place(self, trove: Service, up: Up) -> None:
        medium = trove.flavor(trove.medium)
        up.update(flavor_id=medium)
        assert up.now().flavor_id == medium

    def test_password_round_changes_both_in_place(self, up: Up) -> None:
        old = up.outs["admin_password"], up.outs["user_password"]
        up.update(password_round=2)
        assert up.outs["admin_password"] not in old
        assert up.outs["user_password"] not in old

    def test_update_that_was_cut_off_is_completed(self, up: Up) -> None:
        """The state still holds the old settings though the service has the new ones."""
        before = dict(up.outs)
        up.update(allowed_cidrs=[MINE, "192.0.2.0/24"], volume=3)
        up.outs = before
        up.update(allowed_cidrs=[MINE, "192.0.2.0/24"], volume=3)
        assert up.now().volume == 3

    def test_refresh_sees_what_changed_behind_pulumi(self, trove: Service, up: Up) -> None:
        other = "192.0.2.9/32"
        client.set_access(trove.cloud, up.id, Access(is_public=True, allowed_cidrs=(other,)))
        readiness.wait_until_ready(
            trove.cloud, up.id, None, MINUTES, lambda i: other in i.access.allowed_cidrs
        )
        read = OWNER.read(up.id, up.outs).outs or {}
        assert read["allowed_cidrs"] == [other]
        assert OWNER.diff(up.id, read, up.outs).changes
        ready = WAITER.read(up.id, waited(up.id, up.outs)).outs or {}
        assert WAITER.diff(up.id, ready, waited(up.id, up.outs)).changes
        up.outs = OWNER.update(up.id, read, up.outs).outs or {}
        assert OWNER.read(up.id, up.outs).outs == up.outs

    def test_instance_missing_from_the_state_is_reported_and_not_adopted(
        self, trove: Service, up: Up
    ) -> None:
        with pytest.raises(DatabaseError, match=rf"promised \({up.id}\) that is not in this stack"):
            OWNER.create(inputs(trove, "promised"))
        assert len(client.find(trove.cloud, "promised")) == 1

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
    def test_changes_that_lose_data_are_refused_while_guarded(
        self, up: Up, change: dict[str, Any], named: list[str]
    ) -> None:
        news = {**up.outs, **change}
        failures = OWNER.check(up.outs, news).failures
        assert [failure.property for failure in failures] == named
        assert all("dump the data" in failure.reason for failure in failures)
        assert OWNER.check(up.outs, {**news, "guarded": False}).failures == []
        diff = OWNER.diff(up.id, up.outs, {**news, "guarded": False})
        assert (diff.replaces or []) == named

    def test_newer_minor_version_changes_nothing(self, up: Up) -> None:
        assert not OWNER.diff(up.id, up.outs, {**up.outs, "version": "17.99"}).changes

    def test_next_up_waits_for_an_instance_still_building(self, trove: Service) -> None:
        numbers = count()

        def one_still_building() -> tuple[str, dict[str, Any]] | None:
            created = OWNER.create(inputs(trove, f"waited-for-{next(numbers)}"))
            outs = created.outs or {}
            try:
                WAITER.create(waited(created.id, outs, wait_minutes=0))
            except DatabaseError as error:
                assert re.search("is BUILD after .* run `up` again", str(error))
                return created.id, outs
            OWNER.delete(created.id, outs)  # it was built before anybody asked for it
            return None

        identifier, outs = eventually(one_still_building, SECONDS)
        assert OWNER.read(identifier, outs).id == identifier
        # A destroy instead: Trove refuses to delete what it is still building.
        OWNER.delete(identifier, outs)
        assert client.get(trove.cloud, identifier) is None

    def test_wait_ends_when_the_agent_stays_silent(self, trove: Service) -> None:
        created = OWNER.create(inputs(trove, "silent"))
        outs = created.outs or {}
        WAITER.create(waited(created.id, outs))
        trove.fall_silent(created.id)
        with pytest.raises(DatabaseError, match=r"has been ACTIVE/ERROR for .*ask the cloud's sup"):
            WAITER.create(waited(created.id, outs, wait_minutes=0.2))
        OWNER.delete(created.id, outs)

    def test_deleted_instance(self, trove: Service) -> None:
        props = inputs(trove, "gone-db")
        assert OWNER.read(MISSING_ID, props).id == ""
        OWNER.delete(MISSING_ID, props)
        with pytest.raises(DatabaseError, match=r"is gone: run `pulumi refresh`"):
            WAITER.create(waited(MISSING_ID, props))

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            (
                {"flavor_id": "nope"},
                r"refuses POST /instances \(400\): Resource nope cannot be found",
            ),
            ({"version": "99"}, r"Datastore version '99' cannot be found"),
            ({"allowed_cidrs": ["::/0"]}, r"\(400\)"),
            ({"allowed_cidrs": [MINE, MINE]}, r"\(400\)"),
            ({"volume": 51}, r"\(413\): Quota exceeded for resources: \['volumes'\]"),
        ],
    )
    def test_refusal_is_one_sentence(
        self, trove: Service, changes: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(DatabaseError, match=sentence) as refusal:
            OWNER.create(inputs(trove, "refused-db", **changes))
        assert "\n" not in str(refusal.value)
        assert client.find(trove.cloud, "refused-db") == []
