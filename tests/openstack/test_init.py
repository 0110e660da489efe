"""`./pipeline init` and its checks, asked of real OpenStack and real Ceph."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.openstack.customer import INIT, Customer

CHECK = ("init", "lab", "--check")
FINE = "No problems found"
EntryChange = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module", autouse=True)
def stack(operator: Customer) -> None:
    """What `init` asked the clouds for is in the file."""
    printed = operator.checkout.pipeline("init", "lab", *INIT).stdout
    assert FINE in printed


@pytest.fixture(autouse=True)
def as_it_was(operator: Customer) -> Iterator[None]:
    """Each test finds settings and clouds.yaml as the first one did."""
    before = operator.settings_file("lab").read_text()
    yield
    operator.settings_file("lab").write_text(before)
    operator.clouds_yaml.write_text(operator.account.read_text())


def refused(operator: Customer, *expected: tuple[str, ...]) -> None:
    """The check fails; for each of `expected` one sentence has all of it."""
    answer = operator.checkout.pipeline(*CHECK, code=1)
    lines = answer.stderr.strip().splitlines()
    for words in expected:
        assert any(all(word in line for word in words) for line in lines), answer.stderr
    assert len(lines) == len(expected) + 1, answer.stderr  # and how to check again


def test_only_choice_is_used(operator: Customer) -> None:
    text = operator.settings_file("lab").read_text()
    for line in (
        'externalNetwork: "public"',
        'image: "Ubuntu-24.04"',
        'flavor: "standard.tiny"',
        'databaseVersion: "17"',
        'databaseFlavor: "standard.small"',
        'operatorCidrs: ["127.0.0.1/32"]',
    ):
        assert f"image-pipeline:{line}" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"image": "Ubuntu-20.04", "databaseFlavor": "huge"},
            [
                ("image is 'Ubuntu-20.04'", "'pouta'", "Ubuntu-24.04"),
                ("databaseFlavor is 'huge'", "'pukki'", "standard.small"),
            ],
        ),
        (
            {"flavor": "huge", "databaseVersion": "12"},
            [
                ("flavor is 'huge'", "standard.tiny"),
                ("databaseVersion is '12'", "16.9", "17.5"),
            ],
        ),
        (
            {"network": "attic", "databaseRegion": "moon"},
            [("network is 'attic'", "inside"), ("databaseRegion is 'moon'", "pukki_dbaas")],
        ),
        ({"externalNetwork": "inside"}, [("externalNetwork is 'inside'", "public")]),
        ({"computeCloud": "pukki"}, [("'pukki'", "no service of type compute")]),
        ({"sshPublicKeyFile": "~/.ssh/gone.pub"}, [("sshPublicKeyFile", "gone.pub")]),
    ],
    ids=["image", "flavor", "network", "external network", "cloud", "key"],
)
def test_unavailable_choices_are_refused(
    settings: dict[str, str], expected: list[tuple[str, ...]], operator: Customer
) -> None:
    operator.change("lab", **settings)
    refused(operator, *expected)


def test_exhausted_quotas_are_reported(operator: Customer) -> None:
    """All at once; with room again, the same check passes."""
    with operator.pouta() as pouta, operator.cloud.admin() as admin:
        external = pouta.network.find_network("public", ignore_missing=False)
        taken = [pouta.network.create_ip(floating_network_id=external.id) for _ in range(2)]
        quota = f"/os-quota-sets/{pouta.current_project_id}"
        admin.compute.put(quota, json={"quota_set": {"instances": 0, "cores": 0, "ram": 500}})
        operator.quota(ports=3, security_groups=2, security_group_rules=9)
        operator.change("lab", databaseVolumeSize=51, machines=3)
        refused(
            operator,
            ("'pouta'", "3 more instances: 0 of 0"),
            ("'pouta'", "3 more cores: 0 of 0"),
            ("'pouta'", "3000 more MiB of memory: 0 of 500"),
            ("'pouta'", "3 more ports: 1 of 3"),
            ("'pouta'", "2 more security groups: 1 of 2"),
            ("'pouta'", "6 more security group rules: 4 of 9"),
            ("'pouta'", "floating IPs: 2 of 2", "ask the cloud's support"),
            ("'pukki'", "51 more GiB of database volumes: 0 of 50"),
        )
        admin.compute.delete(quota)
        operator.quota(ports=4, security_groups=3, security_group_rules=10)
        for address in taken:
            pouta.network.delete_ip(address)
    operator.change("lab", databaseVolumeSize=50)
    assert FINE in operator.checkout.pipeline(*CHECK).stdout


def test_existing_bucket_is_refused(operator: Customer) -> None:
    """One's own, made over Swift; names are shared by all users, so others' answer alike."""
    config = yaml.safe_load(operator.settings_file("lab").read_text())["config"]
    name = config["image-pipeline:pipelines"]["negatives"]["inputBucket"]
    with operator.pouta() as pouta:
        pouta.object_store.create_container(name)
        refused(operator, (f"Bucket {name} exists already", "inputBucket", "adoptBuckets"))
        pouta.object_store.delete_container(name)


def test_wrong_password_is_refused(operator: Customer) -> None:
    """Two Keystones: the sentence names the one that it is about."""

    def wrong(entry: dict[str, Any]) -> None:
        entry["auth"]["password"] = "guessed"

    _change_entry(operator, wrong, "pukki")
    refused(operator, ("Cloud 'pukki' refuses the credentials", "renew them"))


def test_expired_token_is_refused(operator: Customer) -> None:
    with operator.pouta() as pouta:
        token = pouta.auth_token
        gone = {"X-Subject-Token": token}
        assert pouta.identity.delete("/auth/tokens", headers=gone).status_code == 204

    def stale(entry: dict[str, Any]) -> None:
        entry["auth_type"] = "v3token"
        del entry["auth"]["username"], entry["auth"]["password"], entry["auth"]["user_domain_name"]
        entry["auth"]["token"] = token

    _change_entry(operator, stale, "pouta")
    refused(operator, ("Cloud 'pouta' refuses the credentials", "renew them"))


def _change_entry(operator: Customer, change: EntryChange, *entries: str) -> None:
    content = json.loads(operator.account.read_text())
    for entry in entries:
        change(content["clouds"][entry])
    operator.clouds_yaml.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ("'pouta'", "lets no application credential", "by password", "s3AccessKey")),
        (
            {"unrestricted": True},
            ("'pouta'", "lets no application credential", "by password", "s3AccessKey"),
        ),
        (
            {"unrestricted": True, "access_rules": [("compute", "GET", "/v2.1/servers")]},
            ("'pouta'", "has access rules", "without access rules"),
        ),
    ],
    ids=["restricted", "unrestricted", "access rules"],
)
def test_unusable_application_credential_is_refused(
    asked: dict[str, Any], expected: tuple[str, ...], operator: Customer
) -> None:
    _change_entry(operator, _application_credential(operator, **asked), "pouta")
    refused(operator, expected)


def test_restricted_application_credential_suffices_for_the_database(operator: Customer) -> None:
    _change_entry(operator, _application_credential(operator, cloud="pukki"), "pukki")
    assert FINE in operator.checkout.pipeline(*CHECK).stdout


def test_deleted_application_credential_is_refused(operator: Customer) -> None:
    _change_entry(operator, _application_credential(operator, unrestricted=True), "pouta")
    with operator.pouta() as pouta:
        path = f"/users/{pouta.current_user_id}/application_credentials"
        for each in pouta.identity.get(path).json()["application_credentials"]:
            assert pouta.identity.delete(f"{path}/{each['id']}").status_code == 204
    refused(operator, ("Cloud 'pouta' refuses the credentials", "renew them"))


def _application_credential(operator: Customer, cloud: str = "pouta", **asked: Any) -> EntryChange:
    """Make one; what puts it into an entry of clouds.yaml."""
    rules = [
        {"service": service, "method": method, "path": path}
        for service, method, path in asked.pop("access_rules", ())
    ]
    asked |= {"access_rules": rules} if rules else {}
    connection = operator.pouta() if cloud == "pouta" else operator.pukki()
    with connection:
        user = connection.current_user_id
        roles = [{"name": "member"}]  # as in tests/credentials.py
        asked = {"name": f"mine-{secrets.token_hex(4)}", "roles": roles, **asked}
        body = {"application_credential": asked}
        path = f"/users/{user}/application_credentials"
        answer = connection.identity.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()["application_credential"]

    def log_in(entry: dict[str, Any]) -> None:
        entry["auth_type"] = "v3applicationcredential"
        entry["auth"] = {
            "auth_url": entry["auth"]["auth_url"],
            "application_credential_id": made["id"],
            "application_credential_secret": made["secret"],
        }

    return log_in


def test_keystone_outage_is_reported(operator: Customer) -> None:
    """And only that of the database: the other cloud is not blamed."""
    operator.cloud.stop("keystone-database")
    try:
        refused(
            operator,
            (
                "Cloud 'pukki' cannot be queried: http://127.0.0.1:",
                "does not answer",
                "clouds.yaml",
            ),
        )
    finally:
        operator.cloud.start("keystone-database")
    assert FINE in operator.checkout.pipeline(*CHECK).stdout


def test_further_machines_need_a_router_that_translates_addresses(operator: Customer) -> None:
    operator.change("lab", machines=2)
    assert FINE in operator.checkout.pipeline(*CHECK).stdout
    with operator.pouta() as pouta, operator.cloud.admin() as admin:
        [router] = pouta.network.routers()
        outside = {"network_id": router.external_gateway_info["network_id"]}
        admin.network.update_router(router, external_gateway_info={**outside, "enable_snat": False})
        refused(operator, ("machines is 2", "'pouta'", "gateway to an external network with SNAT"))
        pouta.network.update_router(router, external_gateway_info={})
        refused(operator, ("machines is 2", "'pouta'", "gateway to an external network with SNAT"))
        pouta.network.update_router(router, external_gateway_info=outside)
