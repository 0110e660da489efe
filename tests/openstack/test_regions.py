"""Clouds with several regions: `./pipeline init` asks for one, and checks use that one."""

import json
from collections.abc import Iterator

import pytest

from bench.proxy import Proxy
from tests.engine.terminal import Terminal
from tests.openstack.customer import INIT, Customer
from tests.openstack.regions import second_region
from tests.openstack.services import entries
from tests.openstack.services.configuration import DATABASE_REGION, REGION
from tests.openstack.services.layout import HOST
from tests.openstack.services.stack import OpenStack

NORTH, DEEP_NORTH = "north", "deep_north"
FINE = "No problems found"
CHOSEN = ("--compute-region", NORTH, "--database-region", DEEP_NORTH)


@pytest.fixture(scope="module")
def asked(cloud: OpenStack, operator: Customer) -> Iterator[set[str]]:
    """Give both clouds a second region, while the customer's clouds.yaml names none.

    Yields:
        The services of the second regions that got a request.
    """
    found: set[str] = set()
    ports = cloud.layout.ports
    with (
        Proxy(HOST, ports.glance, lambda *_: found.add("image")) as images,
        Proxy(HOST, ports.trove, lambda *_: found.add("database")) as databases,
        second_region(cloud, entries.COMPUTE, NORTH, {"image": images.port}),
        second_region(cloud, entries.DATABASE, DEEP_NORTH, {"database": databases.port}),
    ):
        name_regions(operator)
        yield found


def name_regions(operator: Customer, **regions: str) -> None:
    """Write the regions of entries into clouds.yaml, and none for the others."""
    content = json.loads(operator.account.read_text())
    for entry, described in content["clouds"].items():
        del described["region_name"]
        if entry in regions:
            described["region_name"] = regions[entry]
    operator.clouds_yaml.write_text(json.dumps(content))


def regions(operator: Customer, stack: str) -> set[str]:
    """The regions in the stack's settings."""
    lines = operator.settings_file(stack).read_text().splitlines()
    return {line.partition(":")[2] for line in lines if "Region:" in line and line.startswith("  ")}


def check(operator: Customer, *expected: str) -> None:
    """The check fails with one sentence that contains all of `expected`."""
    answer = operator.checkout.pipeline("init", "lab", "--check", code=1).stderr
    first, *more = answer.strip().splitlines()
    assert all(words in first for words in expected), answer
    assert len(more) == 1  # how to check again


def test_script_gets_the_available_regions(operator: Customer, asked: set[str]) -> None:
    printed = operator.checkout.pipeline("init", "lab", *INIT, code=1).stderr
    assert f"--compute-region is missing: choose one of {NORTH}, {REGION}." in printed
    printed = operator.checkout.pipeline(
        "init", "lab", *INIT, "--compute-region", REGION, code=1
    ).stderr
    assert (
        f"--database-region is missing: choose one of {DEEP_NORTH}, {DATABASE_REGION}." in printed
    )
    assert not operator.settings_file("lab").exists()
    assert asked == set()


def test_choice_on_a_terminal_is_written(operator: Customer, asked: set[str]) -> None:
    checkout = operator.checkout
    command = checkout.command("init", "lab", *INIT, "--operator-cidr", "127.0.0.1/32")
    with Terminal(command, checkout.folder, checkout.environment) as session:
        session.expect("Region of pouta for compute:")
        session.answer("Number or name", NORTH)
        session.answer("Number or name [Ubuntu-24.04]")
        session.answer("Number or name [standard.tiny]")
        session.expect("Region of pukki for database:")
        session.answer("Number or name", "1")
        session.answer("Number or name [17]")
        session.answer("Number or name [standard.small]")
        session.answer("Volume of the database in GiB")
        for role in ("input", "output", "quarantine"):
            session.answer(f"Name of the {role} bucket")
        session.answer("state, outside git")
        assert FINE in session.end()
    assert regions(operator, "lab") == {
        f'computeRegion: "{NORTH}"',
        f'databaseRegion: "{DEEP_NORTH}"',
    }
    assert asked == {"image", "database"}


def test_the_region_of_the_settings_is_checked(operator: Customer, asked: set[str]) -> None:
    """As by an `up`, which tests/openstack/test_program_database.py runs in a second region."""
    asked.clear()
    assert FINE in operator.checkout.pipeline("init", "lab", "--check").stdout
    assert asked == {"image", "database"}
    asked.clear()
    operator.change("lab", computeRegion=REGION, databaseRegion=DATABASE_REGION)
    assert FINE in operator.checkout.pipeline("init", "lab", "--check").stdout
    assert asked == set()


@pytest.mark.usefixtures("asked")
def test_no_region_is_guessed(operator: Customer) -> None:
    operator.change("lab", computeRegion=None)
    check(operator, "computeRegion is missing", "'pouta'", f"{NORTH}, {REGION}", "name one")
    operator.change("lab", computeRegion=REGION, databaseRegion=None)
    check(operator, "databaseRegion is missing", "'pukki'", f"{DEEP_NORTH}, {DATABASE_REGION}")
    operator.change("lab", databaseRegion="moon")
    check(operator, "databaseRegion is 'moon'", "'pukki'", f"{DEEP_NORTH}, {DATABASE_REGION}")


def test_region_of_clouds_yaml_is_used(operator: Customer, asked: set[str]) -> None:
    """Unless a flag names another."""
    name_regions(operator, pouta=NORTH, pukki=DEEP_NORTH)
    asked.clear()
    assert FINE in operator.checkout.pipeline("init", "lab2", *INIT).stdout
    assert (regions(operator, "lab2"), asked) == (set(), {"image", "database"})
    name_regions(operator, pouta=REGION, pukki=DATABASE_REGION)
    assert FINE in operator.checkout.pipeline("init", "lab3", *INIT, *CHOSEN).stdout
    printed = operator.checkout.pipeline("init", "lab4", *INIT, "--compute-region", "moon", code=1)
    assert (
        f"--compute-region is 'moon', which does not exist: choose one of {NORTH}" in printed.stderr
    )
