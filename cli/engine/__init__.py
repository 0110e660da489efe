"""Pulumi's CLI, the engine: found, downloaded or built."""

#: The newest that Go modules can build; checked with the SDK that is pinned.
VERSION = "3.259.0"
