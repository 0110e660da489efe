"""What a compute cloud offers for machines: images, flavors, and networks of floating IPs."""

from typing import TYPE_CHECKING

from clients.errors import CloudError, NotInCloud

if TYPE_CHECKING:
    from openstack.connection import Connection


def check(cloud: "Connection", image: str, flavor: str, external_network: str) -> int:
    """Check that a cloud has an image, a flavor and an external network of these names.

    Returns:
        The flavor's memory in MiB.

    Raises:
        CloudError: Several images have this name.
        NotInCloud: One of them is not found.
    """
    entry = cloud.config.name
    images = [each.name for each in cloud.image.images()]
    flavors = {each.name: int(each.ram) for each in cloud.compute.flavors()}
    external = [each.name for each in cloud.network.networks(is_router_external=True)]
    for setting, value, what, names in (
        ("image", image, "images", images),
        ("flavor", flavor, "flavors", flavors),
        ("externalNetwork", external_network, "external networks", external),
    ):
        if value not in names:
            raise NotInCloud(setting, value, entry, what, names)
    if images.count(image) > 1:
        raise CloudError(f"Cloud {entry!r} has several images {image!r}: name another.")
    return flavors[flavor]
