"""Who is to blame: the settings, the surroundings, or the file itself."""

# Not all of these are errors: they say how something ended.
# ruff: noqa: N818


class SettingsError(Exception):
    """The settings are wrong: one sentence a problem, all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


class Obstacle(Exception):
    """Something stands in the way of every upload (store, database, disk): the pass ends."""


class Left(Exception):
    """This upload cannot be handled now, others may be: it stays for the next pass."""


class Gone(Exception):
    """The upload is no longer what was listed: there is nothing to do for it."""


class Stopped(Exception):
    """The worker was told to end: what is in hand is dropped and stays for the next pass."""


class Verdict(Exception):
    """The file itself cannot be transformed, today or ever: it belongs in quarantine."""


class Crash(Exception):
    """The process that worked on the file died or was ended: whose fault it was is open."""
