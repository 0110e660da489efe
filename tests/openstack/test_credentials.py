"""Logins as users have them, against two real Keystones."""

from pathlib import Path

import pytest

from clients import catalog
from clients import trove as client
from clients.connection import cloud_errors, connect
from clients.errors import CloudError, DatabaseError
from tests.credentials import PAUSE, Account, CredentialRules
from tests.eventually import eventually
from tests.openstack.services.stack import OpenStack

POUTA = ("pouta", "regionOne", "compute", "/v2.1/servers", "/servers", "/flavors")
PUKKI = ("pukki", "pukki_dbaas", "database", "/v1.0/*/instances", "/instances", "/flavors")


@pytest.fixture(params=[POUTA, PUKKI], ids=["pouta", "pukki"])
def account(request: pytest.FixtureRequest, clouds_yaml: Path) -> Account:
    entry, region, *service = request.param
    return Account(entry, region, clouds_yaml, *service)


class TestReal(CredentialRules):
    """Each cloud's own Keystone."""

    opens_keys = False


@pytest.mark.usefixtures("clouds_yaml")
def test_each_entry_has_its_own_catalog() -> None:
    assert catalog.list_regions("pouta", "compute") == ["regionOne"]
    assert catalog.list_regions("pouta", "database") == []
    assert catalog.list_regions("pukki", "database") == ["pukki_dbaas"]
    assert catalog.list_regions("pukki", "compute") == []


@pytest.mark.usefixtures("clouds_yaml")
def test_one_cloud_does_not_take_the_others_token() -> None:
    with connect("pouta") as pouta, connect("pukki") as pukki:
        url = pukki.database.get_endpoint()
        headers = {"X-Auth-Token": pouta.session.get_token()}
        answer = pukki.session.get(
            f"{url}/instances", headers=headers, authenticated=False, raise_exc=False
        )
        assert answer.status_code == 401


@pytest.mark.usefixtures("clouds_yaml")
def test_keystone_outage_is_one_sentence_and_passes(cloud: OpenStack) -> None:
    """Trove asks its Keystone about each token, so an open connection fails, too."""
    pukki = connect("pukki")
    client.find(pukki, "x")
    cloud.stop("keystone-database")
    try:

        def message() -> str:
            try:
                client.find(pukki, "x")
            except DatabaseError as error:
                return str(error)
            return ""

        sentence = eventually(message, every=PAUSE, what="Trove remembers a token for a while")
        assert "of cloud 'pukki' fails at GET /instances (5" in sentence
        with (
            pytest.raises(CloudError, match=r"Cloud 'pukki' cannot be queried"),
            cloud_errors("pukki"),
        ):
            client.find(connect("pukki"), "x")
        assert catalog.list_regions("pouta", "compute") == ["regionOne"]
    finally:
        cloud.start("keystone-database")
    assert client.find(pukki, "x") == []
