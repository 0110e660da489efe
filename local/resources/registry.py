"""The resource types of the local cloud by their Pulumi type."""

from local.api.state import CloudState
from local.resources.container import Container
from local.resources.ec2_credential import Ec2Credential
from local.resources.floating_ip import FloatingIp
from local.resources.floating_ip_associate import FloatingIpAssociate
from local.resources.instance import Instance
from local.resources.keypair import Keypair
from local.resources.port import Port
from local.resources.resource_type import ResourceType
from local.resources.security_group import SecurityGroup
from local.resources.security_group_rule import SecurityGroupRule

RESOURCE_TYPES: dict[str, type[ResourceType]] = {
    "openstack:objectstorage/container:Container": Container,
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": Ec2Credential,
    "openstack:compute/keypair:Keypair": Keypair,
    "openstack:compute/instance:Instance": Instance,
    "openstack:networking/secGroup:SecGroup": SecurityGroup,
    "openstack:networking/secGroupRule:SecGroupRule": SecurityGroupRule,
    "openstack:networking/floatingIp:FloatingIp": FloatingIp,
    "openstack:networking/floatingIpAssociate:FloatingIpAssociate": FloatingIpAssociate,
    "openstack:networking/port:Port": Port,
}


def resource_types(state: CloudState) -> dict[str, ResourceType]:
    """Return each resource type of a cloud."""
    return {token: resource_type(state) for token, resource_type in RESOURCE_TYPES.items()}
