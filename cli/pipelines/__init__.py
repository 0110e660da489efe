"""The pipelines in a stack's settings: read, edited, compared with what is deployed."""
