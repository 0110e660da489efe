"""Compare a written negative with its source before it counts as done."""

from worker.errors import InvalidInput


def check_equal(what: str, source: object, negative: object) -> None:
    """Refuse a negative that lacks something of its source: the source would be deleted.

    Args:
        what: What is compared, in words.
        source: As it is in the source.
        negative: As it was read from the written file.

    Raises:
        InvalidInput: They differ.
    """
    if source != negative:
        raise InvalidInput(f"the negative was not written whole: its {what} differ from the source")
