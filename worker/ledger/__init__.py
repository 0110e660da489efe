"""The ledger: what the worker records in PostgreSQL."""
