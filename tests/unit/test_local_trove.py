"""The local cloud's Trove: the real API's answers, Pukki's policy, and the server behind it."""

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


def can_log_in(view: dict[str, Any], user: str, password: str) -> bool:
    try:
        login(view, user, password).close()
    except psycopg.OperationalError:
        return False
    return True


class TestApi(ApiTraps):
    """The tests that real Trove passes too."""


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/21"])
def test_wide_ranges_are_refused_as_on_pukki(trove: Service, served: str, cidr: str) -> None:
    access = {**OPEN, "allowed_cidrs": [cidr]}
    order = trove.order(name="refused", access=access)
    for answer in (
        trove.api.post("/instances", json={"instance": order}),
        trove.put(served, access=access),
    ):
        assert (answer.status_code, "wider than /22" in answer.text) == (400, True)


def test_users_log_in_with_their_current_password_only(trove: Service, served: str) -> None:
    one, view = f"/instances/{served}", trove.show(served)
    assert can_log_in(view, ADMIN, "a")
    assert can_log_in(view, WORKER, "w")
    trove.api.put(f"{one}/users", json={"users": [{"name": ADMIN, "password": "new"}]})
    assert can_log_in(view, ADMIN, "new")
    assert not can_log_in(view, ADMIN, "a")
    trove.api.put(f"{one}/users/{ADMIN}", json={"user": {"password": "a"}})
    assert can_log_in(view, ADMIN, "a")
    trove.api.post(f"{one}/users", json={"users": [{"name": "u2", "password": "p"}]})
    assert can_log_in(view, "u2", "p")
    trove.api.delete(f"{one}/users/u2")
    assert not can_log_in(view, "u2", "p")


def test_root_is_the_superuser(trove: Service, served: str) -> None:
    one = f"/instances/{served}/root"
    assert trove.api.get(one).json() == {"rootEnabled": False}
    made = trove.api.post(one).json()["user"]
    assert can_log_in(trove.show(served), made["name"], made["password"])
    assert trove.api.get(one).json() == {"rootEnabled": True}


def test_new_flavor_ends_sessions_and_keeps_data(trove: Service, served: str) -> None:
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


def test_dead_server_is_shown_as_error(local_cloud: LocalCloud, trove: Service) -> None:
    identifier = trove.create(name="dying")
    view = trove.healthy(identifier)
    home: Path = local_cloud.folder / DATABASES / identifier
    processes.end(home)
    ended = trove.show(identifier)
    assert (ended["status"], ended["operating_status"]) == ("ERROR", "")
    assert trove.act(identifier, restart={}).status_code == 422
    assert trove.put(identifier, access=OPEN).status_code == 422
    trove.remove(identifier)
    assert not can_log_in(view, ADMIN, "a")
