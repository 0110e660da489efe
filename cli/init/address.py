"""The caller's own address, as a cloud sees it."""

import ipaddress
import socket
import urllib.request
from urllib.parse import urlsplit

_ASKED = "https://checkip.amazonaws.com"
_SECONDS = 4


def caller_address(cloud_url: str) -> str:
    """The address to let in as `a.b.c.d/32`, or "" where it cannot be found out.

    The one from which this machine would reach the cloud, unless that is private: then a public
    service is asked, since only something outside knows what the network makes of it.
    """
    host = urlsplit(cloud_url).hostname or ""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(place)  # sends nothing: the kernel only chooses a route
            mine = ipaddress.ip_address(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
    if mine.is_loopback or mine.is_global:
        return _as_range(mine)
    return _from_outside()


def _from_outside() -> str:
    try:
        with urllib.request.urlopen(_ASKED, timeout=_SECONDS) as answer:
            return _as_range(ipaddress.ip_address(answer.read(64).decode("ascii").strip()))
    except (OSError, ValueError):
        return ""


def _as_range(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"{address}/{address.max_prefixlen}"
