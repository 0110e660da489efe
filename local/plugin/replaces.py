"""Which properties of a resource cannot change in place: `ForceNew` of the real provider.

Source: the schemas of terraform-provider-openstack 3.4.0, which pulumi-openstack 5.5 wraps. Most
rows are also in the SDK's docstrings ("Changing this creates a new …"), which a test compares.
"""

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

#: `ForceNew`, though the docstring says nothing of it.
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


def replaces(token: str, name: str) -> bool:
    """Return whether a change of the property `name` makes a new resource of type `token`."""
    return name in REPLACES.get(token, ()) or name in UNDOCUMENTED.get(token, ())
