"""The database service's client and providers against the local cloud's Trove and its traps."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import requests

from clients import readiness
from clients import trove as client
from clients.errors import DatabaseError
from local.cloud import LocalCloud
from tests.eventually import eventually
from tests.trove.providers import OWNER, WAITER, ProviderPromises, Up, inputs, waited
from tests.trove.service import Service


@pytest.fixture(scope="module")
def trove(local_cloud: LocalCloud) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(local_cloud.clouds_yaml))
        yield Service("local", "RegionLocal")


def login(up: Up, user: str, password: str) -> list[Any]:
    """Log in at the ready resource's address and return the current user."""
    with psycopg.connect(
        host=up.ready["public_ip"],
        port=up.ready["port"],
        dbname=up.outs["database"],
        user=up.outs[user],
        password=password,
        sslmode="disable",
        connect_timeout=10,
    ) as connection:
        return list(connection.execute("select current_user").fetchone() or ())


class FailsFirst:
    """A cloud whose database service answers 500 the first `times`."""

    def __init__(self, cloud: Any, times: int) -> None:
        self._cloud, self.failures = cloud, times
        self.config, self.database = cloud.config, self

    def request(self, path: str, method: str, **arguments: Any) -> Any:
        if self.failures:
            self.failures -= 1
            answer = requests.Response()
            answer.status_code, answer.reason = 500, "Internal Server Error"
            return answer
        return self._cloud.database.request(path, method, **arguments)


class TestLocal(ProviderPromises):
    """And a real PostgreSQL is behind it."""

    def test_users_can_log_in_with_new_passwords_only(self, up: Up) -> None:
        old = up.outs["admin_password"]
        assert login(up, "admin", old) == ["db_admin"]
        assert login(up, "user", up.outs["user_password"]) == ["pipeline_worker"]
        with pytest.raises(psycopg.OperationalError):
            login(up, "admin", up.outs["user_password"])
        up.update(password_round=3)
        assert login(up, "admin", up.outs["admin_password"])
        assert login(up, "user", up.outs["user_password"])
        with pytest.raises(psycopg.OperationalError):
            login(up, "admin", old)

    def test_wait_continues_when_the_agent_reports_again(
        self, trove: Service, up: Up, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """As while its agent starts anew."""
        trove.fall_silent(up.id)
        with ThreadPoolExecutor(1) as executor:
            wait = executor.submit(WAITER.create, waited(up.id, up.outs))
            eventually(lambda: "is ACTIVE/ERROR; waiting" in capfd.readouterr().err)
            trove.put(up.id, access=trove.show(up.id)["access"])
            assert (wait.result().outs or {})["port"] == up.ready["port"]

    def test_failures_of_the_service_do_not_end_the_wait(self, trove: Service, up: Up) -> None:
        cloud = FailsFirst(trove.cloud, times=2)
        assert readiness.wait_until_ready(cloud, up.id, None, 1).id == up.id  # type: ignore[arg-type]
        assert cloud.failures == 0

    def test_service_that_only_fails_is_given_up(self, trove: Service, up: Up) -> None:
        cloud = FailsFirst(trove.cloud, times=10**6)
        with pytest.raises(DatabaseError, match=r"fails at GET .* \(500\)"):
            readiness.wait_until_ready(cloud, up.id, None, 0.01)  # type: ignore[arg-type]

    @pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/21"])
    def test_pukki_refuses_wide_ranges(self, trove: Service, cidr: str) -> None:
        with pytest.raises(DatabaseError, match=r"\(400\)"):
            OWNER.create(inputs(trove, "refused-db", allowed_cidrs=[cidr]))
        assert client.find(trove.cloud, "refused-db") == []
