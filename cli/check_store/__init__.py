"""Whether an object store keeps photos safe: checks, and what a failed one means for the user."""
