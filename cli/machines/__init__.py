"""The machines of a pipeline, and the ways to them."""
