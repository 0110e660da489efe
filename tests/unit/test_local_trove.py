"""The local cloud's Trove: what real ones answer, Pukki's policy, and the server behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local import processes
from local.api.state import DATABASES
from local.cloud import LocalCloud
from tests.trove.api import ApiTraps
from tests.trove.service import ADMIN, DATABASE, OPEN, WORKER, Service


@pytest.fixture(scope="module")
def trove(local_cloud: LocalCloud) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(local_cloud.clouds_yaml))
        yield Service("local", "RegionLocal")


@pytest.fixture(scope="module")
def served(trove: Service) -> Iterator[str]:
    identifier = trove.create(name="served")
    trove.healthy(identifier)
    yield identifier
    trove.remove(identifier)


def login(view: dict[str, Any], user: str, password: str) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=view["port"], dbname=DATABASE, user=user, password=password
    )


def admitted(view: dict[str, Any], user: str, password: str) -> bool:
    try:
        login(view, user, password).close()
    except psycopg.OperationalError:
        return False
    return True


class TestApi(ApiTraps):
    """As real ones."""


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/21"])
def test_pukki_refuses_wide_ranges(trove: Service, served: str, cidr: str) -> None:
    access = {**OPEN, "allowed_cidrs": [cidr]}
    order = trove.order(name="refused", access=access)
    for answer in (
        trove.api.post("/instances", json={"instance": order}),
        trove.put(served, access=access),
    ):
        assert (answer.status_code, "wider than /22" in answer.text) == (400, True)


def test_who_may_log_in(trove: Service, served: str) -> None:
    one, view = f"/instances/{served}", trove.show(served)
    assert admitted(view, ADMIN, "a")
    assert admitted(view, WORKER, "w")
    trove.api.put(f"{one}/users", json={"users": [{"name": ADMIN, "password": "new"}]})
    assert admitted(view, ADMIN, "new")
    assert not admitted(view, ADMIN, "a")
    trove.api.put(f"{one}/users/{ADMIN}", json={"user": {"password": "a"}})
    assert admitted(view, ADMIN, "a")
    trove.api.post(f"{one}/users", json={"users": [{"name": "u2", "password": "p"}]})
    assert admitted(view, "u2", "p")
    trove.api.delete(f"{one}/users/u2")
    assert not admitted(view, "u2", "p")


def test_root_is_the_superuser(trove: Service, served: str) -> None:
    one = f"/instances/{served}/root"
    assert trove.api.get(one).json() == {"rootEnabled": False}
    made = trove.api.post(one).json()["user"]
    assert admitted(trove.show(served), made["name"], made["password"])
    assert trove.api.get(one).json() == {"rootEnabled": True}


def test_a_new_flavor_costs_the_sessions_but_no_data(trove: Service, served: str) -> None:
    session = login(trove.show(served), ADMIN, "a")
    session.execute("CREATE SCHEMA kept")
    session.commit()
    medium = trove.flavor(trove.medium)
    trove.act(served, resize={"flavorRef": medium})
    trove.until(served, lambda view: view["flavor"]["id"] == medium)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with login(trove.show(served), ADMIN, "a") as again:
        found = again.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'kept'").fetchone()
    assert found == (1,)


def test_a_dead_server_shows_as_error(local_cloud: LocalCloud, trove: Service) -> None:
    identifier = trove.create(name="dying")
    view = trove.healthy(identifier)
    home: Path = local_cloud.folder / DATABASES / identifier
    processes.end(home)
    ended = trove.show(identifier)
    assert (ended["status"], ended["operating_status"]) == ("ERROR", "")
    assert trove.act(identifier, restart={}).status_code == 422
    assert trove.put(identifier, access=OPEN).status_code == 422
    trove.remove(identifier)
    assert not admitted(view, ADMIN, "a")
