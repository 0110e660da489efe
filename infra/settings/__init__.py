"""The stack's settings: what Pulumi.yaml declares, read into typed models."""
