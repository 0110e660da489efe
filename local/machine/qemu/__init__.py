"""Machines that QEMU boots from a disk image, with a kernel of their own."""
