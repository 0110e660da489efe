"""What the program's resources are in the local cloud: made, read, changed and removed."""
