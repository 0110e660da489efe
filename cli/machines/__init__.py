"""Access to the machines of a stack."""
