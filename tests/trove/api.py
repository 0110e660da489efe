"""Responses of Trove that clients/trove.py relies on or works around."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from tests.eventually import eventually
from tests.trove.service import ADMIN, DATABASE, MINE, OPEN, PAUSE, SECONDS, WORKER, Service

#: Fields of a create, the status they are answered with, and words of the answer.
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"access": {**OPEN, "allowed_cidrs": ["::/0"]}}, 400, "does not match"),
    ({"access": {**OPEN, "allowed_cidrs": [MINE, MINE]}}, 400, "has non-unique elements"),
    ({"access": {**OPEN, "allowed_cidrs": MINE}}, 400, "is not of type 'array'"),
    ({"access": {"is_public": "yes"}}, 400, "is not of type 'boolean'"),
    ({"flavorRef": "nope"}, 400, "Resource nope cannot be found."),
    (
        {"datastore": {"type": "postgresql", "version": "99"}},
        400,
        "Datastore version '99' cannot be found.",
    ),
    ({"datastore": {"type": "nope"}}, 404, "Datastore 'nope' cannot be found."),
    ({"volume": None}, 400, "Volume size was not specified."),
    ({"volume": {"size": 0}}, 400, "instance['volume']['size']"),
    ({"volume": {"size": 201}}, 413, "201 cannot be accepted"),
    ({"volume": {"size": 51}}, 413, "Quota exceeded for resources: ['volumes']."),
    ({"name": None}, 400, "'name' is a required property"),
    ({"name": ""}, 400, "instance['name']"),
    ({"users": [{"name": "x"}]}, 400, "'password' is a required property"),
    ({"users": [{"name": "x", "password": "x"}] * 2}, 400, "Two or more users share"),
    ({"databases": [{"name": "a"}] * 2}, 400, "Two or more databases share"),
    (
        {"users": [{"name": "x", "password": "x", "databases": [{"name": "other"}]}]},
        400,
        "database other is not included in the initial databases list",
    ),
    ({"nics": [{"net-id": "a"}, {"net-id": "b"}]}, 400, "instance['nics']"),
]
#: Answers to PUT and PATCH, after which nothing has changed.
CHANGES_NOTHING: list[tuple[str, dict[str, Any], int]] = [
    ("put", {"access": OPEN, "replica_of": ""}, 400),
    ("put", {"name": "a", "access": OPEN, "replica_of": ""}, 400),
    ("put", {"access": {**OPEN, "allowed_cidrs": ["::/0"]}}, 400),
    ("put", {}, 202),
    ("patch", {"access": OPEN}, 400),
]


class ApiTraps:
    """Each runs against every Trove that a suite has."""

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, trove: Service) -> Iterator[str]:
        """A healthy one with the ranges OPEN, for tests that leave it so."""
        identifier = trove.create()
        trove.healthy(identifier)
        yield identifier
        trove.remove(identifier)

    @pytest.mark.parametrize(("changes", "status", "words"), REFUSED)
    def test_a_bad_create_is_refused(
        self, trove: Service, changes: dict[str, Any], status: int, words: str
    ) -> None:
        order = trove.order(**{"name": "refused", **changes})
        answer = trove.api.post("/instances", json={"instance": order})
        assert answer.status_code == status, answer.text
        assert words in answer.text
        names = [found["name"] for found in trove.api.get("/instances").json()["instances"]]
        assert "refused" not in names
        assert "" not in names

    def test_flavor_ids_are_in_str_id(self, trove: Service) -> None:
        flavors = trove.api.get("/flavors").json()["flavors"]
        assert {flavor["name"] for flavor in flavors} >= {trove.small, trove.medium}
        assert all(flavor["id"] is None and flavor["str_id"] for flavor in flavors)

    def test_an_instance_from_build_to_404(self, trove: Service) -> None:
        answer = trove.api.post("/instances", json={"instance": trove.order(name="life")})
        born = answer.json()["instance"]
        one = f"/instances/{born['id']}"
        assert (answer.status_code, born["status"], born["operating_status"]) == (200, "BUILD", "")
        assert "addresses" not in born
        assert trove.put(born["id"], access=OPEN).status_code == 422
        refused = trove.api.delete(one)
        assert (refused.status_code, "(Status is BUILD)" in refused.text) == (422, True)
        view = trove.healthy(born["id"])
        assert (view["status"], view["access"]) == ("ACTIVE", OPEN)
        assert {entry["type"] for entry in view["addresses"]} == {"private", "public"}
        assert trove.api.delete(one).status_code == 202
        trove.gone(born["id"])
        absent = trove.api.get(one)
        assert f"Resource {born['id']} cannot be found." in absent.text
        assert trove.api.delete(one).status_code == 404
        assert trove.put(born["id"], access=OPEN).status_code == 404

    def test_a_range_that_no_firewall_takes_ends_in_error(self, trove: Service) -> None:
        """Only its shape is looked at when it is ordered."""
        order = trove.order(name="bad-range", access={**OPEN, "allowed_cidrs": ["1.2.3.400/32"]})
        answer = trove.api.post("/instances", json={"instance": order})
        assert answer.status_code == 200
        identifier = answer.json()["instance"]["id"]
        eventually(lambda: trove.show(identifier)["status"] == "ERROR", SECONDS, every=PAUSE)
        fault = trove.show(identifier)["fault"]["message"]
        assert "Failed to create security group" in fault
        trove.remove(identifier)

    def test_put_replaces_access_as_a_whole_and_not_at_once(
        self, trove: Service, instance: str
    ) -> None:
        other = {"is_public": True, "allowed_cidrs": ["198.51.100.0/22"]}
        answer = trove.put(instance, access=other)
        assert (answer.status_code, answer.text) == (202, "")
        assert trove.until(instance, lambda view: view["access"] == other)["status"] == "ACTIVE"
        # A field that is left out is not left alone.
        trove.put(instance, access={"allowed_cidrs": [MINE]})
        closed = trove.until(instance, lambda view: not view["access"]["is_public"])
        assert {entry["type"] for entry in closed["addresses"]} == {"private"}
        trove.put(instance, access={"is_public": True})
        opened = trove.until(instance, lambda view: view["access"]["is_public"])
        assert opened["access"]["allowed_cidrs"] == []
        assert {entry["type"] for entry in opened["addresses"]} == {"private", "public"}
        trove.put(instance, access=OPEN)
        trove.until(instance, lambda view: view["access"] == OPEN)

    @pytest.mark.parametrize(("verb", "body", "status"), CHANGES_NOTHING)
    def test_what_put_and_patch_take(
        self, trove: Service, instance: str, verb: str, body: dict[str, Any], status: int
    ) -> None:
        answer = getattr(trove.api, verb)(f"/instances/{instance}", json={"instance": body})
        assert answer.status_code == status, answer.text
        view = trove.healthy(instance)
        assert (view["name"], view["access"]) == ("pipeline", OPEN)

    def test_users_and_databases_come_and_go(self, trove: Service, instance: str) -> None:
        api, one = trove.api, f"/instances/{instance}"
        users = {user["name"]: user for user in api.get(f"{one}/users").json()["users"]}
        assert users[ADMIN]["databases"] == [{"name": DATABASE}]
        assert users[WORKER]["databases"] == []
        more = {"databases": [{"name": "d2"}]}
        assert api.post(f"{one}/databases", json=more).status_code == 202
        assert api.post(f"{one}/databases", json=more).status_code == 400
        user = {"users": [{"name": "u2", "password": "p", **more}]}
        assert api.post(f"{one}/users", json=user).status_code == 202
        assert api.post(f"{one}/users", json=user).status_code == 400
        assert api.get(f"{one}/users/u2/databases").json() == more
        assert api.delete(f"{one}/users/u2/databases/d2").status_code == 202
        assert api.delete(f"{one}/users/u2/databases/d2").status_code == 404
        assert api.delete(f"{one}/users/u2").status_code == 202
        assert api.get(f"{one}/users/u2").status_code == 404
        assert api.delete(f"{one}/databases/d2").status_code == 202
        assert api.delete(f"{one}/databases/d2").status_code == 404

    def test_passwords_change_in_place(self, trove: Service, instance: str) -> None:
        users = f"/instances/{instance}/users"
        changed = {"users": [{"name": ADMIN, "password": "new"}]}
        assert trove.api.put(users, json=changed).status_code == 202
        unknown = {"users": [{"name": "nobody_here", "password": "x"}]}
        assert trove.api.put(users, json=unknown).status_code == 404
        one = {"user": {"password": "a"}}
        assert trove.api.put(f"{users}/{ADMIN}", json=one).status_code == 202
        trove.healthy(instance)

    def test_volume_grows_and_never_shrinks(self, trove: Service, instance: str) -> None:
        assert trove.act(instance, resize={"volume": {"size": 3}}).status_code == 202
        trove.until(instance, lambda view: view["volume"]["size"] == 3)
        for size in (2, 3):
            answer = trove.act(instance, resize={"volume": {"size": size}})
            assert answer.status_code == 400
            assert "must be larger than the current volume size of '3'" in answer.text

    def test_flavor_changes_with_downtime(self, trove: Service, instance: str) -> None:
        sizes = cycle([trove.flavor(trove.medium), trove.flavor(trove.small)])
        assert trove.act(instance, resize={"flavorRef": "nope"}).status_code == 400
        same = trove.act(instance, resize={"flavorRef": trove.show(instance)["flavor"]["id"]})
        assert (same.status_code, "must be different" in same.text) == (400, True)

        def is_seen_while_it_changes() -> bool:
            size = next(sizes)
            assert trove.act(instance, resize={"flavorRef": size}).status_code == 202
            view, busy = trove.show(instance), trove.act(instance, restart={})
            trove.until(instance, lambda view: view["flavor"]["id"] == size)
            seen = (view["status"], view["operating_status"], busy.status_code)
            return seen == ("RESIZE", "", 422) and "not currently available for an" in busy.text

        eventually(is_seen_while_it_changes, SECONDS)  # it may end before it is looked at
