"""All checks, by topic: one module each."""

from cli.check_store.check import Check
from cli.check_store.checks import (
    checksums,
    conditions,
    copies,
    deletes,
    listings,
    object_keys,
    owners,
    uploads,
    versions,
)

GROUPS: dict[str, tuple[Check, ...]] = {
    "Versions": versions.CHECKS,
    "Conditional requests": conditions.CHECKS,
    "Uploads": uploads.CHECKS,
    "Copies": copies.CHECKS,
    "Checksums": checksums.CHECKS,
    "Listings": listings.CHECKS,
    "Deletes": deletes.CHECKS,
    "Owners": owners.CHECKS,
    "Object keys": object_keys.CHECKS,
}
CHECKS: tuple[Check, ...] = tuple(check for checks in GROUPS.values() for check in checks)
