"""Machines that are processes of the host: no privileges, no boot, no installation."""
