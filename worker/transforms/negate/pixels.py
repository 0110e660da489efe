"""The complement of pixels."""

COMPLEMENT = bytes(range(255, -1, -1))
