"""What cannot change in place, by type: the one table of it.

From the SDK's docstrings ("Changing this creates a new …"), which a test compares. Where they
are silent, from the schema of terraform-provider-openstack (`ForceNew`): those are set apart.
"""

REPLACES: dict[str, frozenset[str]] = {
    "openstack:objectstorage/container:Container": frozenset(
        ("name", "region", "storageClass", "storagePolicy")
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

UNDOCUMENTED: dict[str, frozenset[str]] = {
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": frozenset(("projectId", "userId")),
    "openstack:compute/keypair:Keypair": frozenset(("userId", "valueSpecs")),
    "openstack:compute/instance:Instance": frozenset(("networkMode", "schedulerHints")),
    "openstack:networking/secGroup:SecGroup": frozenset(("deleteDefaultRules",)),
    "openstack:networking/floatingIp:FloatingIp": frozenset(("address", "valueSpecs")),
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate": frozenset(("floatingIp",)),
    "openstack:networking/port:Port": frozenset(("valueSpecs",)),
}


def replaces(token: str, name: str) -> bool:
    """Whether a change of the property makes a new resource."""
    return name in REPLACES.get(token, ()) or name in UNDOCUMENTED.get(token, ())
