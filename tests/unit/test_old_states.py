"""States deployed by commit 29b3431 name the modules and classes of that version.

tests/engine/test_upgrade.py (`./pipeline test --all`) deploys that version and upgrades the stack.
"""

from importlib import import_module

import pytest
from pulumi.dynamic import ResourceProvider

# Pulumi pickles a dynamic provider by module path and class name.
PICKLED = [
    ("infra.bucket_providers", "BucketClaimProvider"),
    ("infra.bucket_providers", "BucketAdoptionProvider"),
    ("infra.bucket_providers", "BucketContentsProvider"),
    ("infra.bucket_providers", "WorkerArchiveProvider"),
    ("infra.trove.providers", "TroveInstanceProvider"),
    ("infra.trove.providers", "TroveReadyProvider"),
]


@pytest.mark.parametrize(("module", "name"), PICKLED)
def test_pickled_providers_are_found(module: str, name: str) -> None:
    assert issubclass(getattr(import_module(module), name), ResourceProvider)
