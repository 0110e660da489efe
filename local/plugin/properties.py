"""The properties of each resource type: computed ones, and which changes mean a new resource.

Source: the schemas of terraform-provider-openstack 3.4.0, which pulumi-openstack 5.5 wraps. Most
rows of `REPLACES` are also in the SDK's docstrings ("Changing this creates a new …"), which a test
compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: What the cloud adds to a type's inputs: unknown at preview, unless it is given.
COMPUTED: dict[str, tuple[str, ...]] = {
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": (
        *("access", "secret", "projectId", "userId", "trustId", "region"),
    ),
    "openstack:objectstorage/container:Container": ("region", "storageClass"),
    "openstack:compute/keypair:Keypair": ("fingerprint", "privateKey", "region", "userId"),
    "openstack:compute/instance:Instance": (
        *("accessIpV4", "accessIpV6", "allMetadata", "allTags", "availabilityZone", "created"),
        *("flavorId", "flavorName", "imageId", "imageName", "networks", "powerState", "region"),
        *("securityGroups", "updated"),
    ),
    "openstack:networking/secGroup:SecGroup": (
        *("allTags", "description", "region", "stateful", "tenantId"),
    ),
    "openstack:networking/secGroupRule:SecGroupRule": (
        *("portRangeMin", "portRangeMax", "protocol", "remoteIpPrefix", "remoteGroupId"),
        *("region", "tenantId"),
    ),
    "openstack:networking/floatingIp:FloatingIp": (
        *("address", "allTags", "dnsDomain", "dnsName", "fixedIp", "pool", "portId", "region"),
        "tenantId",
    ),
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate": ("fixedIp", "region"),
    "openstack:networking/port:Port": (
        *("adminStateUp", "allFixedIps", "allSecurityGroupIds", "allTags", "deviceId"),
        *("deviceOwner", "macAddress", "region", "tenantId"),
    ),
}

#: `ForceNew`, and the SDK's docstring says so.
REPLACES: dict[str, frozenset[str]] = {
    "openstack:objectstorage/container:Container": frozenset(
        ("region", "storageClass", "storagePolicy")
    ),
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": frozenset(("region",)),
    "openstack:compute/keypair:Keypair": frozenset(("name", "publicKey", "region")),
    "openstack:compute/instance:Instance": frozenset(
        (
            *("availabilityZone", "availabilityZoneHints", "blockDevices", "configDrive"),
            *("hypervisorHostname", "keyPair", "networks", "region", "userData"),
        )
    ),
    "openstack:networking/secGroup:SecGroup": frozenset(("region", "tenantId")),
    "openstack:networking/secGroupRule:SecGroupRule": frozenset(
        (
            *("direction", "ethertype", "securityGroupId", "description", "portRangeMax"),
            *("portRangeMin", "protocol", "region", "remoteAddressGroupId", "remoteGroupId"),
            *("remoteIpPrefix", "tenantId"),
        )
    ),
    "openstack:networking/floatingIp:FloatingIp": frozenset(
        ("dnsDomain", "dnsName", "pool", "region", "tenantId")
    ),
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate": frozenset(("region",)),
    "openstack:networking/port:Port": frozenset(
        ("networkId", "deviceId", "deviceOwner", "macAddress", "region", "tenantId")
    ),
}

#: `ForceNew`, though the docstring does not mention it.
UNDOCUMENTED: dict[str, frozenset[str]] = {
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": frozenset(("projectId", "userId")),
    "openstack:compute/keypair:Keypair": frozenset(("userId", "valueSpecs")),
    "openstack:compute/instance:Instance": frozenset(("networkMode", "schedulerHints")),
    "openstack:networking/secGroup:SecGroup": frozenset(("deleteDefaultRules",)),
    "openstack:networking/floatingIp:FloatingIp": frozenset(("address", "valueSpecs")),
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate": frozenset(("floatingIp",)),
    "openstack:networking/port:Port": frozenset(("valueSpecs",)),
}

#: Not `ForceNew`, though the docstring says so: the provider's update ignores the property.
MISDOCUMENTED: dict[str, frozenset[str]] = {
    "openstack:objectstorage/container:Container": frozenset(("name",)),
}

#: Properties that the provider reads back from the cloud: a refresh shows what they really are, and
#: the next update compares with that, not with what was asked for last.
OBSERVED: dict[str, frozenset[str]] = {
    "openstack:objectstorage/container:Container": frozenset(("name",)),
    "openstack:compute/instance:Instance": frozenset(("powerState",)),
}


ChangeKind = Literal["ADD", "DELETE", "UPDATE"]


@dataclass(frozen=True)
class PropertyChange:
    """The change of one property."""

    name: str
    kind: ChangeKind
    replaces: bool


def replaces(token: str, name: str) -> bool:
    """Return whether a change of the property `name` makes a new resource of type `token`."""
    return name in REPLACES.get(token, ()) or name in UNDOCUMENTED.get(token, ())


def observed(token: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` with the values that the provider reads back for those among them."""
    names = OBSERVED.get(token, frozenset())
    return {
        name: outputs[name] if name in names and outputs.get(name) is not None else value
        for name, value in inputs.items()
    }


def changes(token: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[PropertyChange]:
    """Return every top-level property that differs; what is not yet known counts as different."""
    found: list[PropertyChange] = []
    for name in sorted({*olds, *news}):
        old, new = olds.get(name), news.get(name)
        if old == new or name.startswith("__"):
            continue
        kind: ChangeKind = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
        found.append(PropertyChange(name, kind, replaces(token, name)))
    return found
