"""What only a kernel of its own shows."""

import json

from local.machine.qemu.machine import QemuMachine
from tests.machine.guest import WORKER, Guest


def test_it_is_another_kernel_with_the_limits_that_systemd_sets(guest: Guest) -> None:
    assert isinstance(guest.machine, QemuMachine)
    assert guest.machine.accelerator in ("kvm", "tcg")
    assert guest.root("systemd-detect-virt") in ("kvm", "qemu")
    controllers = guest.root("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert {"memory", "pids", "cpu"} <= set(controllers)


def test_the_disk_grew_to_the_machines(guest: Guest) -> None:
    """cloud-init does that on a cloud: an image is smaller than a flavor's disk."""
    size = int(guest.root("df --output=size -B1 / | tail -n 1"))
    assert size > 7 << 30


def test_the_address_came_by_dhcp(guest: Guest) -> None:
    routes = json.loads(guest.root("ip -json route show default"))
    assert [route["protocol"] for route in routes] == ["dhcp"]


def test_nothing_was_killed_for_memory_in_the_workers_unit(guest: Guest) -> None:
    """A gigabyte is enough for photos: MemoryMax= is not what stops them."""
    since = guest.root("date +%s")
    guest.negate("coffee.png", "galaxies.jpg", "rocket.jpg", "cat.jpg")
    said = guest.root(f"journalctl --no-pager -k --since=@{since} -o cat")
    assert "Killed process" not in said
    assert guest.root(f"systemctl show -P Result {WORKER}") == "success"
