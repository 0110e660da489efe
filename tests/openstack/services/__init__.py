"""Real Keystone (two of them), Nova, Neutron, Glance, Placement and Trove on loopback.

Two clouds, as cPouta and Pukki are: `pouta` has identity, compute, network and image; `pukki` has
an identity of its own and the database service, which keeps its machines and addresses in the
first. Stand-ins are small (stand_ins/): the hypervisor is Nova's own fake one, ports are bound by
nobody, and Trove's guest agent and volumes answer from a file.

`python -m tests.openstack.services up|down FOLDER` runs it from a shell.
"""
