"""What the cloud adds to each type's inputs: unknown at preview, unless given."""

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
