"""Pulumi's own command: found, downloaded or built."""

VERSION = "3.259.0"  # the newest that Go modules can build; checked with the SDK we pin
