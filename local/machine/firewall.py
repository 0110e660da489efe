"""The packet filter of a guest's interface in its cloud's network, as Neutron's.

A port carries only frames from its own MAC and address, and admits what a rule of its security
groups admits, or what answers its own connections. Only IPv4 over TCP, and ARP, pass.
https://docs.openstack.org/neutron/latest/admin/intro-os-networking.html
"""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_BROADCAST = b"\xff" * 6
_IPV4, _ARP = 0x0800, 0x0806  # EtherTypes (IEEE 802)
_TCP = 6
_ETHERNET_BYTES, _IPV4_BYTES, _ARP_BYTES, _PORTS_BYTES = 14, 20, 28, 4
_FRAGMENT_OFFSET = 0x1FFF
_FLOWS = 10_000  # connections that are remembered at once


@dataclass(frozen=True)
class Rule:
    """TCP ports that are open to a range of addresses.

    Attributes:
        first: the first port.
        last: the last port.
        source: the range, as a CIDR.
        is_member: whether the source is a member of a security group: then only the internal
            network has it.
    """

    first: int
    last: int
    source: str
    is_member: bool = False


@dataclass(frozen=True)
class Interface:
    """A guest's interface in the cloud's internal network.

    Attributes:
        mac: its MAC, as `fa:16:3e:…`.
        address: its IPv4 address.
        rules: what its security groups admit, as of its boot.
    """

    mac: str
    address: str
    rules: Sequence[Rule] = ()

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Interface":
        """Return what `as_record` made."""
        rules = [Rule(**rule) for rule in record["rules"]]
        return cls(record["mac"], record["address"], rules)

    def as_record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def is_open_outside(self, port: int) -> bool:
        """Return whether a rule opens a port to addresses outside the internal network."""
        return any(rule.first <= port <= rule.last and not rule.is_member for rule in self.rules)


class Firewall:
    """The stateful filter of one interface: it tracks the connections that the guest opened."""

    def __init__(self, interface: Interface) -> None:
        self._mac = bytes.fromhex(interface.mac.replace(":", ""))
        self._address = ipaddress.IPv4Address(interface.address).packed
        self._rules = [
            (range(rule.first, rule.last + 1), ipaddress.ip_network(rule.source))
            for rule in interface.rules
        ]
        self._flows: set[tuple[bytes, int, int]] = set()  # their address, their port, ours

    def allows_egress(self, frame: bytes) -> bool:
        """Return whether a frame of the guest goes to the network."""
        kind = _kind(frame)
        if kind is None or frame[6:12] != self._mac:
            return False
        if kind == _ARP:
            return frame[22:32] == self._mac + self._address
        packet = frame[_ETHERNET_BYTES:]
        ports = _tcp_ports(packet)
        if ports is None or packet[12:16] != self._address:
            return False
        if len(self._flows) >= _FLOWS:
            self._flows.clear()  # open ones are there again with their next packet
        self._flows.add((packet[16:20], ports[1], ports[0]))
        return True

    def allows_ingress(self, frame: bytes) -> bool:
        """Return whether a frame of the network goes to the guest."""
        kind = _kind(frame)
        if kind is None or frame[:6] not in (self._mac, _BROADCAST):
            return False
        if kind == _ARP:
            return True
        packet = frame[_ETHERNET_BYTES:]
        ports = _tcp_ports(packet)
        if ports is None or packet[16:20] != self._address:
            return False
        if (packet[12:16], *ports) in self._flows:
            return True
        source = ipaddress.IPv4Address(packet[12:16])
        return any(ports[1] in open_ports and source in net for open_ports, net in self._rules)


def _kind(frame: bytes) -> int | None:
    """Return the EtherType of a frame that may pass, None for any other."""
    if len(frame) < _ETHERNET_BYTES + _IPV4_BYTES:
        return None
    kind = int.from_bytes(frame[12:14])
    is_whole = kind == _IPV4 or (kind == _ARP and len(frame) >= _ETHERNET_BYTES + _ARP_BYTES)
    return kind if is_whole else None


def _tcp_ports(packet: bytes) -> tuple[int, int] | None:
    """Return source and destination port of a TCP packet (RFC 791, 9293), None for any other."""
    header = (packet[0] & 0x0F) * 4
    offset = int.from_bytes(packet[6:8]) & _FRAGMENT_OFFSET
    if packet[9] != _TCP or offset or len(packet) < header + _PORTS_BYTES:
        return None
    source, target = struct.unpack_from("!HH", packet, header)
    return source, target
