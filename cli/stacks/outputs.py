"""The stack's outputs, typed."""

from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError
from cli.stacks.stack import Stack


@dataclass(frozen=True)
class Outputs:
    """What `put` and `get` need to know; names as `__main__.py` exports them."""

    input_bucket: str
    output_bucket: str
    quarantine_bucket: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str


def read(stack: Stack) -> Outputs:
    """Raises CommandError where the stack stands only half."""
    values: dict[str, Any] = {name: output.value for name, output in stack.outputs().items()}
    try:
        return Outputs(
            values["inputBucket"],
            values["outputBucket"],
            values["quarantineBucket"],
            values["s3Endpoint"],
            values["s3AccessKey"],
            values["s3SecretKey"],
        )
    except KeyError as missing:
        raise CommandError(
            f"The stack has no output {missing}, so 'up' has not ended well yet: run it again."
        ) from None
