"""The database service: a client in plain functions, and Pulumi's dynamic providers over it."""
