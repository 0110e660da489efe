"""Machines that QEMU boots from a disk image, with their own kernel."""
