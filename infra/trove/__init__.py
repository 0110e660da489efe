"""Old module paths that deployed states name; see `infra.trove.providers`."""
