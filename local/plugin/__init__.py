"""The Pulumi plugin `openstack` of the local cloud, which stands in for the real provider."""
