"""Neutron v2.0: networks, ports, floating IPs, security groups, quotas.

https://docs.openstack.org/api-ref/network/v2/
"""

from collections.abc import Callable
from typing import Any

from local.api import networks
from local.api.http import NOT_FOUND, Request, Response, Route, select
from local.api.quotas import Quotas
from local.api.state import CloudState, Record, new_id
from local.errors import ApiError
from local.resources.floating_ip import FloatingIp
from local.resources.port import Port
from local.resources.resource_type import ResourceType
from local.resources.security_group import SecurityGroup
from local.resources.security_group_rule import SecurityGroupRule

_CREATED = 201


class Neutron:
    """The service below /network.

    The resources of a Pulumi stack are listed, shown and deleted here; only networks, subnets and
    router interfaces are created here, as a person does in the web interface.
    """

    def __init__(self, state: CloudState) -> None:
        self._state = state
        self._quotas = Quotas(state)
        self._views: dict[str, Callable[[], list[Record]]] = {
            "networks": lambda: networks.networks(state),
            "subnets": lambda: networks.subnets(state),
            "routers": lambda: networks.routers(state),
            "ports": self._ports,
            "floatingips": lambda: [_floating_ip(state, ip) for ip in FloatingIp(state).all()],
            "security-groups": self._groups,
            "security-group-rules": self._rules,
        }
        self._deletable: dict[str, ResourceType] = {
            "ports": Port(state),
            "floatingips": FloatingIp(state),
            "security-groups": SecurityGroup(state),
            "security-group-rules": SecurityGroupRule(state),
        }

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        v2 = "/network/v2.0"
        return [
            Route("GET", "/network", self.versions, public=True),
            Route("GET", f"{v2}/extensions", self.extensions),
            Route("GET", f"{v2}/quotas/{{project}}", self.quota),
            Route("PUT", f"{v2}/quotas/{{project}}", self.change_quota),
            Route("POST", f"{v2}/networks", self.create_network),
            Route("DELETE", f"{v2}/networks/{{id}}", self.delete_network),
            Route("POST", f"{v2}/subnets", self.create_subnet),
            Route("PUT", f"{v2}/routers/{{id}}/add_router_interface", self.add_interface),
            Route("GET", f"{v2}/{{collection}}", self.index),
            Route("GET", f"{v2}/{{collection}}/{{id}}", self.show),
            Route("DELETE", f"{v2}/{{collection}}/{{id}}", self.delete),
        ]

    def versions(self, _request: Request) -> Response:
        """List the only version."""
        link = {"rel": "self", "href": f"{self._state.url}/network/v2.0/"}
        return Response({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})

    def extensions(self, _request: Request) -> Response:
        """List the extensions that clients look for."""
        aliases = ("router", "external-net", "security-group", "port-security")
        return Response({"extensions": [{"alias": alias, "name": alias} for alias in aliases]})

    def index(self, request: Request) -> Response:
        """List the objects of a collection that match the query."""
        found = select(self._all(request), request.query)
        return Response({request.names["collection"].replace("-", "_"): found})

    def show(self, request: Request) -> Response:
        """Show an object by its id (not its name)."""
        for item in self._all(request):
            if item["id"] == request.names["id"]:
                return Response({request.names["collection"].replace("-", "_")[:-1]: item})
        raise _not_found(request)

    def delete(self, request: Request) -> Response:
        """Delete a resource."""
        resource_type = self._deletable.get(request.names["collection"])
        if resource_type is None:
            raise _not_found(request)
        resource_type.delete(request.names["id"])
        return Response(None, 204)

    def quota(self, _request: Request) -> Response:
        """Show the quota."""
        return Response({"quota": self._quotas.of("network")})

    def change_quota(self, request: Request) -> Response:
        """Change the quota, as an administrator may."""
        return Response({"quota": self._quotas.change("network", request.json("quota"))})

    def create_network(self, request: Request) -> Response:
        """Create an internal network; nothing routes to it yet."""
        name = str(request.json("network").get("name", ""))
        network: dict[str, Any] = networks.own_network(self._state, new_id(), name)
        self._state.records.put(networks.CREATED, network["id"], network)
        return Response({"network": network}, _CREATED)

    def delete_network(self, request: Request) -> Response:
        """Delete a created network with its subnets and router interface."""
        identifier = request.names["id"]
        records = self._state.records
        if records.get(networks.CREATED, identifier) is None:
            raise ApiError(NOT_FOUND, f"Network {identifier} could not be found.")
        records.remove(networks.CREATED, identifier)
        for collection in (networks.CREATED_SUBNETS, networks.CREATED_PORTS):
            for record in records.all(collection):
                if record["network_id"] == identifier:
                    records.remove(collection, record["id"])
        return Response(None, 204)

    def create_subnet(self, request: Request) -> Response:
        """Create a subnet; its range is not checked, as no packet is ever sent there."""
        asked = request.json("subnet")
        subnet = {**networks.subnets(self._state)[0], **asked, "id": new_id()}
        self._state.records.put(networks.CREATED_SUBNETS, subnet["id"], subnet)
        return Response({"subnet": subnet}, _CREATED)

    def add_interface(self, request: Request) -> Response:
        """Attach a created subnet to the router."""
        identifier = request.json("subnet_id")
        subnet = self._state.records.get(networks.CREATED_SUBNETS, identifier)
        if subnet is None:
            raise ApiError(NOT_FOUND, f"Subnet {identifier} could not be found.")
        port = {
            **networks.router_port(self._state),
            "id": new_id(),
            "network_id": subnet["network_id"],
            "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}],
        }
        self._state.records.put(networks.CREATED_PORTS, port["id"], port)
        return Response({"subnet_id": subnet["id"], "port_id": port["id"]})

    def _all(self, request: Request) -> list[Record]:
        view = self._views.get(request.names["collection"])
        if view is None:
            raise ApiError(NOT_FOUND, f"The resource {request.path} could not be found.")
        return view()

    def _ports(self) -> list[Record]:
        created = self._state.records.all(networks.CREATED_PORTS)
        ports = [_port(self._state, port) for port in Port(self._state).all()]
        return [networks.router_port(self._state), *created, *ports]

    def _groups(self) -> list[Record]:
        rules = self._rules()
        return [_group(group, rules) for group in SecurityGroup(self._state).all()]

    def _rules(self) -> list[Record]:
        return [_rule(rule) for rule in SecurityGroupRule(self._state).all()]


def _not_found(request: Request) -> ApiError:
    return ApiError(NOT_FOUND, f"{request.names['id']} could not be found.")


def _port(state: CloudState, record: Record) -> dict[str, Any]:
    computed, subnet = record["computed"], state.fixed_id("subnet/internal")
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


def _floating_ip(state: CloudState, record: Record) -> dict[str, Any]:
    computed = record["computed"]
    return {
        "id": record["id"],
        "floating_ip_address": computed["address"],
        "fixed_ip_address": computed["fixedIp"] or None,
        "floating_network_id": state.fixed_id("network/external"),
        "port_id": computed["portId"] or None,
        "router_id": state.fixed_id("router") if computed["portId"] else None,
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
