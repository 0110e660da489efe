"""The virtual machines of the local cloud, one package for each kind.

`process` applies the user-data without privileges; `nspawn` and `qemu` boot it with cloud-init.
"""
