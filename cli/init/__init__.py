"""`./pipeline init`: asks, checks, and writes a stack's settings."""
