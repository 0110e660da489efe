"""The object stores that we test with: what `./pipeline check-store` finds, and the page on it."""
