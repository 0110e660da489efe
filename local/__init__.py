"""The cloud on this machine: stand-ins for OpenStack, with an S3 server and PostgreSQL."""
