"""The errors of the local cloud; each message is one sentence for the person at the terminal."""


class LocalCloudError(Exception):
    """Something the local cloud needs is missing or did not start."""
