"""Why OpenStack does not run here; each message is one sentence."""


class ServicesError(Exception):
    """Something could not be installed or did not start."""
