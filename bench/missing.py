"""Something to compare with is not on this computer."""


class MissingError(Exception):
    """What is missing and what would bring it; the rest of the bench goes on."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"Left out: {what} is not here ({remedy}).")
