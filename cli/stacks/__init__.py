"""Stacks as the commands use them: the one on this machine, and those on clouds."""
