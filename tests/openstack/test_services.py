"""The bring-up itself: what a customer finds in both clouds, and that nothing outlives a run."""

from tests.openstack.services.stack import OpenStack


def test_a_machine_comes_up_with_a_floating_ip(cloud: OpenStack) -> None:
    """Nova, Neutron, Glance and Placement play together, the hypervisor being a fake one."""
    with cloud.customer() as pouta:
        image = pouta.image.find_image("Ubuntu-24.04", ignore_missing=False)
        flavor = pouta.compute.find_flavor("standard.tiny", ignore_missing=False)
        network = pouta.network.find_network("demo", ignore_missing=False)
        external = pouta.network.find_network("public", ignore_missing=False)
        port = pouta.network.create_port(network_id=network.id)
        address = pouta.network.create_ip(floating_network_id=external.id, port_id=port.id)
        server = pouta.compute.create_server(
            name="vm", image_id=image.id, flavor_id=flavor.id, networks=[{"port": port.id}]
        )
        server = pouta.compute.wait_for_server(server, wait=300)
        assert server.status == "ACTIVE"
        assert pouta.network.get_ip(address.id).status == "ACTIVE"
        pouta.compute.delete_server(server)
        pouta.compute.wait_for_delete(server, wait=300)
        pouta.network.delete_ip(address)
        pouta.network.delete_port(port)
