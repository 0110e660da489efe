"""Machines that systemd-nspawn boots from a Debian tree; users know the kind as `container`."""
