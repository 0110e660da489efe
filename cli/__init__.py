"""What `./pipeline` does."""
