"""What guests of a local cloud may send each other, packet by packet."""

import ipaddress
import struct
from pathlib import Path

import pytest

from local.api.identity import Identity
from local.api.state import CloudState, Records
from local.machine.firewall import Firewall, Interface, Rule
from local.resources.security_group_rule import SecurityGroupRule

MACS = {"first": "fa:16:3e:00:00:0a", "second": "fa:16:3e:00:00:0b", "third": "fa:16:3e:00:00:0c"}
ADDRESSES = {"first": "192.168.1.10", "second": "192.168.1.11", "third": "192.168.1.12"}
TCP, UDP = 6, 17
SSH = 22
CLIENT = 50000


def mac(machine: str) -> bytes:
    return bytes.fromhex(MACS[machine].replace(":", ""))


def address(machine: str) -> bytes:
    return ipaddress.IPv4Address(ADDRESSES[machine]).packed


def packet(
    source: str, target: str, port: int = SSH, *, own: int = CLIENT, protocol: int = TCP
) -> bytes:
    """Return a frame with the beginning of a packet."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, protocol, 0)
    ports = struct.pack("!HH16x", own, port)
    frame = mac(target) + mac(source) + b"\x08\x00"
    return frame + header + address(source) + address(target) + ports


def question(source: str, asked: str) -> bytes:
    """Return a frame with an ARP request."""
    head = b"\xff" * 6 + mac(source) + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return head + mac(source) + address(source) + bytes(6) + address(asked)


@pytest.fixture
def second() -> Firewall:
    """The second machine's: it admits ssh from the first."""
    rule = Rule(SSH, SSH, f"{ADDRESSES['first']}/32", is_member=True)
    return Firewall(Interface(MACS["second"], ADDRESSES["second"], [rule]))


@pytest.mark.parametrize(
    ("frame", "is_admitted"),
    [
        (packet("first", "second"), True),
        (packet("first", "second", 80), False),
        (packet("first", "second", own=SSH, port=CLIENT), False),  # an answer to nothing
        (packet("first", "second", protocol=UDP), False),
        (packet("third", "second"), False),
        (packet("first", "third"), False),
        (packet("first", "second")[:36], False),
        (question("third", "second"), True),
        (question("third", "second")[:40], False),
        (b"", False),
    ],
)
def test_only_what_a_rule_admits_comes_in(
    second: Firewall, frame: bytes, *, is_admitted: bool
) -> None:
    assert second.allows_ingress(frame) == is_admitted


def test_later_fragments_have_no_ports_to_admit(second: Firewall) -> None:
    frame = bytearray(packet("first", "second"))
    frame[20:22] = b"\x00\x03"
    assert not second.allows_ingress(bytes(frame))


def test_answers_to_own_connections_come_in(second: Firewall) -> None:
    assert second.allows_egress(packet("second", "third", 80))
    assert second.allows_ingress(packet("third", "second", CLIENT, own=80))
    assert not second.allows_ingress(packet("third", "second", CLIENT + 1, own=80))
    assert not second.allows_ingress(packet("first", "second", CLIENT, own=80))


def test_nothing_goes_out_under_another_name(second: Firewall) -> None:
    assert second.allows_egress(question("second", "first"))
    assert not second.allows_egress(question("first", "third"))
    assert not second.allows_egress(packet("first", "third"))
    own_frame = mac("third") + mac("second") + packet("first", "third")[12:]
    assert not second.allows_egress(own_frame)


def test_rules_of_groups_are_those_of_their_members(tmp_path: Path) -> None:
    """A machine's port is open to a range, or to whoever is in a group."""
    state = CloudState(
        tmp_path, Records(tmp_path), Identity("", "", "", "", "", ""), "", "", ("", "")
    )
    rules = SecurityGroupRule(state)
    for name in ("operators", "machines"):
        state.records.put("security-groups", name, {"id": name, "inputs": {}, "computed": {}})
    members = {"allSecurityGroupIds": ["operators"], "allFixedIps": [ADDRESSES["first"]]}
    state.records.put("ports", "port", {"id": "port", "inputs": {}, "computed": members})
    basis = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    ssh = {**basis, "portRangeMin": SSH, "portRangeMax": SSH}
    for inputs in (
        {**ssh, "securityGroupId": "operators", "remoteIpPrefix": "127.0.0.1/32"},
        {**ssh, "securityGroupId": "operators", "ethertype": "IPv6"},
        {**basis, "securityGroupId": "operators", "direction": "egress"},
        {**ssh, "securityGroupId": "machines", "remoteGroupId": "operators"},
        {**basis, "securityGroupId": "machines"},
    ):
        rules.create(inputs, "")
    assert list(rules.open_to(["operators"])) == [Rule(SSH, SSH, "127.0.0.1/32")]
    member = Rule(SSH, SSH, f"{ADDRESSES['first']}/32", is_member=True)
    found = list(rules.open_to(["machines"]))
    assert sorted(found, key=lambda rule: rule.first) == [Rule(0, 65535, "0.0.0.0/0"), member]
