"""The `process` machine: a VM's user-data carried out without a VM and without privileges."""
