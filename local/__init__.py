"""A cloud on this machine: what the program's resources become where there is no OpenStack."""
