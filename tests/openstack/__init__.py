"""Against real OpenStack (and, beside it, real Ceph) on loopback."""
