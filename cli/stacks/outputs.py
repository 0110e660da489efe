"""The stack's outputs, typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.errors import CommandError

#: What S3 clients sign for where the store has no regions.
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Outputs:
    """Buckets, and access to them; `infra/outputs.py` exports them."""

    input_bucket: str
    output_bucket: str
    quarantine_bucket: str
    s3_endpoint: str
    s3_region: str
    s3_access_key: str
    s3_secret_key: str


def read(values: Mapping[str, Any]) -> Outputs:
    """Return the outputs by name as typed ones.

    Raises:
        CommandError: One is missing.
    """
    try:
        return Outputs(
            values["inputBucket"],
            values["outputBucket"],
            values["quarantineBucket"],
            values["s3Endpoint"],
            values.get("s3Region") or _DEFAULT_REGION,
            values["s3AccessKey"],
            values["s3SecretKey"],
        )
    except KeyError as missing:
        raise CommandError(
            f"The stack has no output {missing}: the last 'up' has not completed, so run it again."
        ) from None
