"""The local cloud's Keystone, Nova, Neutron and Glance, used through openstacksdk."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml
from keystoneauth1 import exceptions as keystone
from openstack import exceptions
from openstack.config import OpenStackConfig

from local.cloud import LocalCloud

Connection = Any


def connect(clouds_yaml: Path) -> Connection:
    config = OpenStackConfig(config_files=[str(clouds_yaml)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one("local"))


@pytest.fixture(scope="module")
def cloud(local_cloud: LocalCloud) -> Iterator[Connection]:
    with connect(local_cloud.clouds_yaml) as connection:
        yield connection


def clouds_yaml_with(local_cloud: LocalCloud, folder: Path, **auth: str | None) -> Path:
    """Write a clouds.yaml with another login; None removes a key."""
    entry = yaml.safe_load(local_cloud.clouds_yaml.read_text("utf-8"))["clouds"]["local"]
    if "application_credential_id" in auth:
        entry["auth"] = {"auth_url": entry["auth"]["auth_url"]}
        entry["auth_type"] = "v3applicationcredential"
    entry["auth"] = {
        name: value for name, value in {**entry["auth"], **auth}.items() if value is not None
    }
    path = folder / "clouds.yaml"
    path.write_text(json.dumps({"clouds": {"local": entry}}), "utf-8")
    return path


def test_catalog_lists_every_service_in_one_region(cloud: Connection) -> None:
    entries = cloud.session.auth.get_access(cloud.session).service_catalog.get_endpoints()
    assert set(entries) == {
        *("identity", "compute", "network", "image", "database", "object-store"),
    }
    regions = {one["region_id"] for endpoints in entries.values() for one in endpoints}
    assert regions == {"RegionLocal"}
    store = entries["object-store"][0]["url"]
    assert store.endswith(f"/swift/v1/AUTH_{cloud.current_project_id}")


@pytest.mark.parametrize(
    "auth",
    [{"password": "wrong"}, {"username": "other"}, {"project_name": "other"}],
)
def test_wrong_login_gets_no_token(
    local_cloud: LocalCloud, tmp_path: Path, auth: dict[str, str | None]
) -> None:
    with pytest.raises(keystone.Unauthorized):
        connect(clouds_yaml_with(local_cloud, tmp_path, **auth)).session.get_token()


def test_application_credential_logs_in_but_cannot_create_keys(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    identity = json.loads((local_cloud.folder / "identity.json").read_text("utf-8"))
    names = ("application_credential_id", "application_credential_secret")
    path = clouds_yaml_with(local_cloud, tmp_path, **{name: identity[name] for name in names})
    with connect(path) as connection:
        url = f"/users/{identity['user_id']}/credentials/OS-EC2"
        assert connection.identity.get(url).status_code == 200
        refused = connection.identity.post(url, json={"tenant_id": connection.current_project_id})
    assert refused.status_code == 403


def test_forged_token_is_refused(cloud: Connection) -> None:
    url = f"{cloud.compute.get_endpoint()}/flavors"
    for token in ("", "x", "W10=.x"):
        answer = cloud.session.get(
            url, authenticated=False, headers={"X-Auth-Token": token}, raise_exc=False
        )
        assert answer.status_code == 401


def test_networks_are_one_external_and_one_behind_the_router(cloud: Connection) -> None:
    (external,) = cloud.network.networks(is_router_external=True)
    (internal,) = cloud.network.networks(is_router_external=False)
    (router,) = cloud.network.routers()
    (interface,) = cloud.network.ports(device_owner="network:router_interface")
    assert external.name == "public"
    assert router.external_gateway_info["network_id"] == external.id
    assert router.external_gateway_info["external_fixed_ips"][0]["ip_address"]
    assert (interface.network_id, interface.device_id) == (internal.id, router.id)
    assert cloud.network.find_network("public", ignore_missing=False).id == external.id


@pytest.mark.parametrize("name", ["Ubuntu-24.04", "Ubuntu-22.04"])
def test_images_are_found_by_name_and_id(cloud: Connection, name: str) -> None:
    image = cloud.image.find_image(name, ignore_missing=False)
    assert cloud.image.get_image(image.id).name == name


@pytest.mark.parametrize("name", ["standard.tiny", "standard.small", "standard.medium"])
def test_flavors_are_found_by_name_and_id(cloud: Connection, name: str) -> None:
    flavor = cloud.compute.find_flavor(name, ignore_missing=False)
    assert cloud.compute.get_flavor(flavor.id).vcpus >= 1


def test_unknown_names_are_not_found(cloud: Connection) -> None:
    for find in (
        cloud.image.find_image,
        cloud.compute.find_flavor,
        cloud.network.find_network,
    ):
        with pytest.raises(exceptions.NotFoundException):
            find("nope", ignore_missing=False)


def test_limits_show_the_quota(cloud: Connection) -> None:
    assert cloud.compute.get_limits().absolute.instances == 8
