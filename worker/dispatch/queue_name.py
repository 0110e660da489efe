"""Names in procrastinate's tables."""

import hashlib

#: The name of the only task: its argument is a bundle.
TASK = "bundle"
_DIGITS = 8


def queue_name(stack: str, pipeline: str) -> str:
    """Return the name of a pipeline's queue.

    It ends with digits of the stack's hash: the channel on which procrastinate announces tasks is
    the queue's name with a prefix, and has at most 63 bytes (PostgreSQL documentation, NOTIFY).
    """
    return f"{pipeline}-{hashlib.sha256(stack.encode()).hexdigest()[:_DIGITS]}"
