"""How the object store is reached."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class StoreAccess:
    """How the store is reached; the keys are secret."""

    endpoint: str
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]
