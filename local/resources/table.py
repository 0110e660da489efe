"""The types of resources that the local cloud has, by their Pulumi type."""

from local.api.cloud import Cloud
from local.resources.base import Kind
from local.resources.container import Container
from local.resources.floating_ip import FloatingIp, FloatingIpAssociate
from local.resources.instance import Instance
from local.resources.keys import Ec2Credential, Keypair
from local.resources.port import Port
from local.resources.security_group import SecurityGroup, SecurityGroupRule

KINDS: dict[str, type[Kind]] = {
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


def kinds(cloud: Cloud) -> dict[str, Kind]:
    """One of each for a cloud."""
    return {token: kind(cloud) for token, kind in KINDS.items()}
