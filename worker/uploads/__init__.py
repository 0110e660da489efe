"""Uploads: their identity, what a listing means, and which of them form a batch."""
