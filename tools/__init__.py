"""Programs that maintain the repository itself."""
