"""What is asked, and how the questions are grouped."""

from cli.check_store.fact import Fact
from cli.check_store.facts import (
    checksums,
    conditions,
    deletes,
    listings,
    names,
    owners,
    uploads,
    versions,
)

GROUPS: dict[str, tuple[Fact, ...]] = {
    "Versions": versions.FACTS,
    "Conditional requests": conditions.FACTS,
    "Uploads": uploads.FACTS,
    "Checksums": checksums.FACTS,
    "Listings": listings.FACTS,
    "Deletes": deletes.FACTS,
    "Owners": owners.FACTS,
    "Object keys": names.FACTS,
}
FACTS: tuple[Fact, ...] = tuple(fact for facts in GROUPS.values() for fact in facts)
