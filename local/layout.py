"""The folders of the local cloud, below its own."""

STORE = "object-store"
DATABASES = "databases"
MACHINES = "machines"
