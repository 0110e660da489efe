"""Clients of the clouds' APIs, which the Pulumi program and the commands share."""
