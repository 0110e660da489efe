"""What only a guest with a kernel of its own shows."""

import json

from local.machine.qemu.machine import QemuMachine
from tests.machine.guest import WORKER, Guest


def test_kernel_is_its_own_and_has_the_controllers(guest: Guest) -> None:
    assert isinstance(guest.machine, QemuMachine)
    assert guest.machine.accelerator in ("kvm", "tcg")
    assert guest.shell("systemd-detect-virt") in ("kvm", "qemu")
    controllers = guest.shell("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert {"memory", "pids", "cpu"} <= set(controllers)


def test_disk_grows_to_the_machines_size(guest: Guest) -> None:
    """cloud-init grows it, as an image is smaller than a flavor's disk."""
    size = int(guest.shell("df --output=size -B1 / | tail -n 1"))
    assert size > 7 << 30


def test_address_comes_by_dhcp(guest: Guest) -> None:
    routes = json.loads(guest.shell("ip -json route show default"))
    assert [route["protocol"] for route in routes] == ["dhcp"]


def test_photos_fit_the_units_memory_limit(guest: Guest) -> None:
    """A machine of one GiB is enough: MemoryMax= kills nothing."""
    since = guest.shell("date +%s")
    guest.negate("coffee.png", "galaxies.jpg", "rocket.jpg", "cat.jpg")
    kernel_log = guest.shell(f"journalctl --no-pager -k --since=@{since} -o cat")
    assert "Killed process" not in kernel_log
    assert guest.shell(f"systemctl show -P Result {WORKER}") == "success"
