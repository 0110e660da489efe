"""Neutron v2.0: what exists from the start, and what the program made.

https://docs.openstack.org/api-ref/network/v2/
"""

from collections.abc import Callable
from typing import Any

from local.api.cloud import Cloud
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.api.listing import select
from local.api.neutron_more import NetworksByHand
from local.api.records import Record
from local.resources import networks
from local.resources.base import Kind
from local.resources.floating_ip import FloatingIp
from local.resources.port import Port
from local.resources.security_group import SecurityGroup, SecurityGroupRule


class Neutron:
    """Answers below /network."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._views: dict[str, Callable[[], list[Record]]] = {
            "networks": lambda: networks.networks(cloud),
            "subnets": lambda: networks.subnets(cloud),
            "routers": lambda: networks.routers(cloud),
            "ports": self._ports,
            "floatingips": lambda: [_floating_ip(cloud, ip) for ip in FloatingIp(cloud).all()],
            "security-groups": self._groups,
            "security-group-rules": lambda: [
                _rule(rule) for rule in SecurityGroupRule(cloud).all()
            ],
        }
        self._kinds: dict[str, Kind] = {
            "ports": Port(cloud),
            "floatingips": FloatingIp(cloud),
            "security-groups": SecurityGroup(cloud),
            "security-group-rules": SecurityGroupRule(cloud),
        }

    def routes(self) -> list[Route]:
        """What this service answers."""
        return [
            Route("GET", "/network", self.versions, public=True),
            Route("GET", "/network/v2.0/extensions", self.extensions),
            *NetworksByHand(self._cloud).routes(),
            Route("GET", "/network/v2.0/{collection}", self.index),
            Route("GET", "/network/v2.0/{collection}/{id}", self.show),
            Route("DELETE", "/network/v2.0/{collection}/{id}", self.delete),
        ]

    def versions(self, _request: Request) -> Reply:
        """The one version."""
        link = {"rel": "self", "href": f"{self._cloud.url}/network/v2.0/"}
        return Reply({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})

    def extensions(self, _request: Request) -> Reply:
        """Those that clients ask for."""
        aliases = ("router", "external-net", "security-group", "port-security")
        return Reply({"extensions": [{"alias": alias, "name": alias} for alias in aliases]})

    def index(self, request: Request) -> Reply:
        """Objects that match the query."""
        found = select(self._all(request), request.query)
        return Reply({request.names["collection"].replace("-", "_"): found})

    def show(self, request: Request) -> Reply:
        """One object by id (not by name)."""
        for item in self._all(request):
            if item["id"] == request.names["id"]:
                return Reply({request.names["collection"].replace("-", "_")[:-1]: item})
        raise self._missing(request)

    def delete(self, request: Request) -> Reply:
        """Remove what the program made."""
        kind = self._kinds.get(request.names["collection"])
        if kind is None:
            raise self._missing(request)
        kind.delete(request.names["id"])
        return Reply(None, 204)

    def _all(self, request: Request) -> list[Record]:
        view = self._views.get(request.names["collection"])
        if view is None:
            raise ApiError(NOT_FOUND, f"The resource {request.path} could not be found.")
        return view()

    def _missing(self, request: Request) -> ApiError:
        return ApiError(NOT_FOUND, f"{request.names['id']} could not be found.")

    def _ports(self) -> list[Record]:
        made = [_port(self._cloud, port) for port in Port(self._cloud).all()]
        routers = [networks.router_port(self._cloud), *self._cloud.records.all(networks.MADE_PORTS)]
        return [*routers, *made]

    def _groups(self) -> list[Record]:
        rules = [_rule(rule) for rule in SecurityGroupRule(self._cloud).all()]
        return [_group(group, rules) for group in SecurityGroup(self._cloud).all()]


def _port(cloud: Cloud, record: Record) -> dict[str, Any]:
    computed, subnet = record["computed"], cloud.fixed_id("subnet/internal")
    return {
        "id": record["id"],
        "name": record["inputs"].get("name", ""),
        "network_id": record["inputs"]["networkId"],
        "device_id": computed["deviceId"],
        "device_owner": computed["deviceOwner"],
        "fixed_ips": [
            {"subnet_id": subnet, "ip_address": address} for address in computed["allFixedIps"]
        ],
        "mac_address": computed["macAddress"],
        "security_groups": computed["allSecurityGroupIds"],
        "status": "ACTIVE" if computed["deviceId"] else "DOWN",
        "admin_state_up": computed["adminStateUp"],
        "tenant_id": computed["tenantId"],
        "project_id": computed["tenantId"],
    }


def _floating_ip(cloud: Cloud, record: Record) -> dict[str, Any]:
    computed = record["computed"]
    return {
        "id": record["id"],
        "floating_ip_address": computed["address"],
        "fixed_ip_address": computed["fixedIp"] or None,
        "floating_network_id": cloud.fixed_id("network/external"),
        "port_id": computed["portId"] or None,
        "router_id": cloud.fixed_id("router") if computed["portId"] else None,
        "status": "ACTIVE" if computed["portId"] else "DOWN",
        "description": record["inputs"].get("description", ""),
        "tenant_id": computed["tenantId"],
        "project_id": computed["tenantId"],
        "tags": computed["allTags"],
    }


def _group(record: Record, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": record["id"],
        "name": record["inputs"].get("name", ""),
        "description": record["computed"]["description"],
        "security_group_rules": [
            rule for rule in rules if rule["security_group_id"] == record["id"]
        ],
        "tenant_id": record["computed"]["tenantId"],
        "project_id": record["computed"]["tenantId"],
        "tags": record["computed"]["allTags"],
    }


def _rule(record: Record) -> dict[str, Any]:
    inputs = record["inputs"]
    return {
        "id": record["id"],
        "security_group_id": inputs["securityGroupId"],
        "direction": inputs["direction"],
        "ethertype": inputs["ethertype"],
        "protocol": inputs.get("protocol"),
        "port_range_min": inputs.get("portRangeMin"),
        "port_range_max": inputs.get("portRangeMax"),
        "remote_ip_prefix": inputs.get("remoteIpPrefix"),
        "remote_group_id": inputs.get("remoteGroupId"),
        "tenant_id": record["computed"]["tenantId"],
        "project_id": record["computed"]["tenantId"],
    }
