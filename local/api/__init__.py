"""The HTTP API of the local cloud, one file for each service."""
