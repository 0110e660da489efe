"""Machines: a VM's user-data carried out by a process, or booted in a container."""
