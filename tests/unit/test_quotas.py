"""Quotas that a stack, or its further machines, would exceed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.init.checks import problems
from clients.connection import connect
from tests.unit.stack_settings import public_key_file

PATHS = {"network": ("/quotas/{}", "quota"), "compute": ("/os-quota-sets/{}", "quota_set")}


@pytest.fixture
def limit(clouds_yaml: Path) -> Iterator[Callable[..., None]]:
    """Change a service's quota; it is restored afterwards."""
    cloud = connect("local")
    project, former = cloud.session.get_project_id(), {}

    def change(service: str, **limits: int) -> None:
        path, key = PATHS[service]
        adapter: Any = getattr(cloud, service)
        former[service] = adapter.get(path.format(project)).json()[key]
        answer = adapter.put(path.format(project), json={key: limits})
        assert answer.status_code == 200

    yield change
    for service, limits in list(former.items()):
        change(service, **limits)


def shortages(folder: Path, machines: int, deployed: int | None) -> list[str]:
    settings = {
        "computeCloud": "local",
        "databaseCloud": "local",
        "operatorCidrs": ["127.0.0.1/32", "192.0.2.7/32"],
        "sshPublicKeyFile": str(public_key_file(folder)),
        "machines": machines,
    }
    return [
        sentence.partition("too small for ")[2].partition(":")[0]
        for sentence in problems("lab", settings, lambda: deployed)
    ]


ROOM: dict[str, tuple[tuple[int, int | None], dict[str, int], dict[str, int], list[str]]] = {
    # Two security groups with two rules each, two ranges, and the rule between the machines.
    "a new stack": (
        (3, None),
        {"instances": 2, "cores": 2, "ram": 2999},
        {"port": 3, "security_group": 1, "security_group_rule": 6},
        [
            *("3 more instances", "3 more cores", "3000 more MiB of memory"),
            *("3 more ports", "2 more security groups", "7 more security group rules"),
        ],
    ),
    "a new stack that fits": (
        (3, None),
        {"instances": 3, "cores": 3, "ram": 3000},
        {"port": 4, "security_group": 2, "security_group_rule": 7},
        [],
    ),
    "one machine": (
        (1, None),
        {"instances": 1},
        {"port": 2, "security_group": 1, "security_group_rule": 4},
        [],
    ),
    "the first further machines": (
        (4, 1),
        {"instances": 2},
        {"floatingip": 0, "security_group_rule": 2},
        ["3 more instances", "3 more security group rules"],
    ),
    "another further machine": (
        (4, 3),
        {"instances": 1},
        {"security_group": 0, "port": 1},
        ["1 more ports"],
    ),
    "fewer machines": ((1, 3), {"instances": 0}, {"port": 0}, []),
}


@pytest.mark.parametrize("case", ROOM)
def test_what_new_machines_need(case: str, limit: Callable[..., None], tmp_path: Path) -> None:
    (machines, deployed), compute, network, expected = ROOM[case]
    limit("compute", **compute)
    limit("network", **network)
    assert shortages(tmp_path, machines, deployed) == expected
