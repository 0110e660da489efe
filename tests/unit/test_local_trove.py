"""The local cloud's Trove: what real Trove and Pukki refuse, and what changes when."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import psycopg
import pytest
from openstack.config import OpenStackConfig

from local import processes
from local.cloud import LocalCloud
from local.layout import DATABASES
from tests.eventually import eventually

Api = Any
MINE = "203.0.113.7/32"
OPEN = {"is_public": True, "allowed_cidrs": [MINE]}


@pytest.fixture(scope="module")
def trove(local_cloud: LocalCloud) -> Iterator[Api]:
    config = OpenStackConfig(config_files=[str(local_cloud.clouds_yaml)], load_envvars=False)
    with openstack.connection.Connection(config=config.get_one("local")) as connection:
        yield connection.database


@pytest.fixture(scope="module")
def flavors(trove: Api) -> dict[str, str]:
    return {flavor["name"]: flavor["str_id"] for flavor in trove.get("/flavors").json()["flavors"]}


@pytest.fixture(scope="module")
def instance(trove: Api, flavors: dict[str, str]) -> Iterator[str]:
    answer = trove.post("/instances", json={"instance": wanted(flavors)})
    identifier = answer.json()["instance"]["id"]
    healthy(trove, identifier)
    yield identifier
    trove.delete(f"/instances/{identifier}")


def wanted(flavors: dict[str, str], **overrides: Any) -> dict[str, Any]:
    body = {
        "name": "pipeline",
        "flavorRef": flavors["standard.small"],
        "volume": {"size": 1},
        "databases": [{"name": "pipeline_db"}],
        "users": [
            {"name": "db_admin", "password": "a", "databases": [{"name": "pipeline_db"}]},
            {"name": "pipeline_worker", "password": "w"},
        ],
        "access": OPEN,
        **overrides,
    }
    return {name: value for name, value in body.items() if value is not None}


def show(trove: Api, identifier: str) -> dict[str, Any]:
    view: dict[str, Any] = trove.get(f"/instances/{identifier}").json()["instance"]
    return view


def healthy(trove: Api, identifier: str) -> dict[str, Any]:
    eventually(lambda: show(trove, identifier)["operating_status"] == "HEALTHY")
    return show(trove, identifier)


def admitted(view: dict[str, Any], user: str, password: str) -> bool:
    try:
        psycopg.connect(
            host="127.0.0.1",
            port=view["port"],
            dbname="pipeline_db",
            user=user,
            password=password,
        ).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    ("overrides", "status", "words"),
    [
        ({"access": {**OPEN, "allowed_cidrs": ["::/0"]}}, 400, "does not match"),
        ({"access": {**OPEN, "allowed_cidrs": ["0.0.0.0/0"]}}, 400, "wider than /22"),
        ({"access": {**OPEN, "allowed_cidrs": ["10.0.0.0/21"]}}, 400, "wider than /22"),
        ({"access": {**OPEN, "allowed_cidrs": [MINE, MINE]}}, 400, "non-unique"),
        ({"access": {**OPEN, "allowed_cidrs": ["1.2.3.400/32"]}}, 400, "Invalid CIDR"),
        ({"access": {"is_public": "yes"}}, 400, "boolean"),
        ({"flavorRef": "nope"}, 400, "Resource nope cannot be found."),
        (
            {"datastore": {"type": "postgresql", "version": "99"}},
            400,
            "Datastore version '99' cannot be found.",
        ),
        ({"volume": None}, 400, "size"),
        ({"volume": {"size": 0}}, 400, "size"),
        ({"volume": {"size": 201}}, 413, "quota"),
        ({"name": None}, 400, "name"),
        ({"users": [{"name": "x"}]}, 400, "password"),
        ({"users": [{"name": "postgres", "password": "x"}]}, 400, "reserved"),
        (
            {"users": [{"name": "x", "password": "x", "databases": [{"name": "other"}]}]},
            400,
            "not in the initial databases list",
        ),
        ({"nics": [{"net-id": "a"}, {"net-id": "b"}]}, 400, "nics"),
    ],
)
def test_a_bad_create_is_refused(
    trove: Api, flavors: dict[str, str], overrides: dict[str, Any], status: int, words: str
) -> None:
    before = len(trove.get("/instances").json()["instances"])
    answer = trove.post("/instances", json={"instance": wanted(flavors, **overrides)})
    assert answer.status_code == status
    assert words in answer.text
    assert len(trove.get("/instances").json()["instances"]) == before


def test_an_instance_from_build_to_404(trove: Api, flavors: dict[str, str]) -> None:
    answer = trove.post("/instances", json={"instance": wanted(flavors, name="life")})
    born = answer.json()["instance"]
    assert (answer.status_code, born["status"]) == (200, "BUILD")
    assert "addresses" not in born
    one = f"/instances/{born['id']}"
    assert trove.put(one, json={"instance": {"access": OPEN}}).status_code == 422
    view = healthy(trove, born["id"])
    assert view["access"] == OPEN
    assert {entry["type"] for entry in view["addresses"]} == {"private", "public"}
    assert admitted(view, "db_admin", "a")
    assert admitted(view, "pipeline_worker", "w")
    users = {user["name"]: user for user in trove.get(f"{one}/users").json()["users"]}
    assert users["pipeline_worker"]["databases"] == []
    assert trove.delete(one).status_code == 202
    assert show(trove, born["id"])["status"] == "SHUTDOWN"
    eventually(lambda: trove.get(one).status_code == 404)
    assert not admitted(view, "db_admin", "a")


def test_one_being_built_can_be_deleted(trove: Api, flavors: dict[str, str]) -> None:
    answer = trove.post("/instances", json={"instance": wanted(flavors, name="unwanted")})
    one = f"/instances/{answer.json()['instance']['id']}"
    assert trove.delete(one).status_code == 202
    eventually(lambda: trove.get(one).status_code == 404)


def test_put_replaces_access_as_a_whole_and_not_at_once(trove: Api, instance: str) -> None:
    one = f"/instances/{instance}"
    other = {"is_public": True, "allowed_cidrs": ["198.51.100.0/22"]}
    answer = trove.put(one, json={"instance": {"access": other}})
    assert (answer.status_code, answer.text) == (202, "")
    at_once = show(trove, instance)
    assert (at_once["operating_status"], at_once["access"]) == ("HEALTHY", OPEN)
    assert trove.put(one, json={"instance": {"access": OPEN}}).status_code == 422
    eventually(lambda: show(trove, instance)["operating_status"] != "HEALTHY")
    assert healthy(trove, instance)["access"] == other

    trove.put(one, json={"instance": {"access": {"allowed_cidrs": [MINE]}}})
    eventually(lambda: not show(trove, instance)["access"]["is_public"])
    closed = healthy(trove, instance)
    assert {entry["type"] for entry in closed["addresses"]} == {"private"}

    trove.put(one, json={"instance": {"access": {"is_public": True}}})
    eventually(lambda: show(trove, instance)["access"]["is_public"])
    assert healthy(trove, instance)["access"]["allowed_cidrs"] == []
    trove.put(one, json={"instance": {"access": OPEN}})
    eventually(lambda: show(trove, instance)["access"] == OPEN)
    healthy(trove, instance)


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("put", {"access": OPEN, "configuration": "x"}, 400),
        ("put", {"name": "a", "access": OPEN, "configuration": "x"}, 400),
        ("put", {"access": {**OPEN, "allowed_cidrs": ["0.0.0.0/0"]}}, 400),
        ("put", {}, 202),
        ("patch", {"access": OPEN}, 400),
    ],
)
def test_what_put_and_patch_take(
    trove: Api, instance: str, verb: str, body: dict[str, Any], status: int
) -> None:
    answer = getattr(trove, verb)(f"/instances/{instance}", json={"instance": body})
    assert answer.status_code == status
    assert show(trove, instance)["access"] == OPEN


def test_passwords_change_in_place(trove: Api, instance: str) -> None:
    one, view = f"/instances/{instance}", show(trove, instance)
    changed = {"users": [{"name": "db_admin", "password": "new"}]}
    assert trove.put(f"{one}/users", json=changed).status_code == 202
    assert admitted(view, "db_admin", "new")
    assert not admitted(view, "db_admin", "a")
    unknown = {"users": [{"name": "nobody_here", "password": "x"}]}
    assert trove.put(f"{one}/users", json=unknown).status_code == 404
    trove.put(f"{one}/users/db_admin", json={"user": {"password": "a"}})
    assert admitted(view, "db_admin", "a")


def test_users_and_databases_come_and_go(trove: Api, instance: str) -> None:
    one, view = f"/instances/{instance}", show(trove, instance)
    assert trove.post(f"{one}/databases", json={"databases": [{"name": "d2"}]}).status_code == 202
    user = {"name": "u2", "password": "p", "databases": [{"name": "d2"}]}
    assert trove.post(f"{one}/users", json={"users": [user]}).status_code == 202
    assert trove.post(f"{one}/users", json={"users": [user]}).status_code == 400
    assert admitted(view, "u2", "p")
    granted = trove.get(f"{one}/users/u2/databases").json()["databases"]
    assert granted == [{"name": "d2"}]
    assert trove.delete(f"{one}/users/u2/databases/d2").status_code == 202
    assert trove.delete(f"{one}/users/u2").status_code == 202
    assert not admitted(view, "u2", "p")
    assert trove.delete(f"{one}/databases/d2").status_code == 202
    assert trove.get(f"{one}/users/u2").status_code == 404


def test_root_is_the_superuser(trove: Api, instance: str) -> None:
    one = f"/instances/{instance}/root"
    assert trove.get(one).json() == {"rootEnabled": False}
    made = trove.post(one).json()["user"]
    assert admitted(show(trove, instance), made["name"], made["password"])
    assert trove.get(one).json() == {"rootEnabled": True}


def test_volume_grows_and_never_shrinks(trove: Api, instance: str) -> None:
    action = f"/instances/{instance}/action"
    assert trove.post(action, json={"resize": {"volume": {"size": 3}}}).status_code == 202
    eventually(lambda: show(trove, instance)["volume"]["size"] == 3)
    healthy(trove, instance)
    assert trove.post(action, json={"resize": {"volume": {"size": 2}}}).status_code == 400


def test_a_new_flavor_costs_the_sessions_but_no_data(
    trove: Api, instance: str, flavors: dict[str, str]
) -> None:
    action, view = f"/instances/{instance}/action", show(trove, instance)
    assert trove.post(action, json={"resize": {"flavorRef": "nope"}}).status_code == 400
    session = psycopg.connect(
        host="127.0.0.1", port=view["port"], dbname="pipeline_db", user="db_admin", password="a"
    )
    session.execute("CREATE SCHEMA kept")
    session.commit()
    asked = {"resize": {"flavorRef": flavors["standard.medium"]}}
    assert trove.post(action, json=asked).status_code == 202
    assert show(trove, instance)["status"] == "RESIZE"
    eventually(lambda: show(trove, instance)["flavor"]["id"] == flavors["standard.medium"])
    healthy(trove, instance)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with psycopg.connect(
        host="127.0.0.1", port=view["port"], dbname="pipeline_db", user="db_admin", password="a"
    ) as again:
        found = again.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'kept'").fetchone()
    assert found == (1,)


def test_a_dead_server_shows_as_error(
    local_cloud: LocalCloud, trove: Api, flavors: dict[str, str]
) -> None:
    answer = trove.post("/instances", json={"instance": wanted(flavors, name="dying")})
    identifier = answer.json()["instance"]["id"]
    healthy(trove, identifier)
    home: Path = local_cloud.folder / DATABASES / identifier
    processes.end(home)
    view = show(trove, identifier)
    assert (view["status"], view["operating_status"]) == ("ERROR", "CRASHED")
    put = trove.put(f"/instances/{identifier}", json={"instance": {"access": OPEN}})
    assert put.status_code == 422
    trove.delete(f"/instances/{identifier}")
    eventually(lambda: trove.get(f"/instances/{identifier}").status_code == 404)
