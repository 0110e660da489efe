"""Neutron's quotas, and networks made by hand beside the project's own."""

from typing import Any

from local.api.cloud import Cloud, new_id
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.api.quotas import Quotas
from local.resources import networks

_CREATED = 201


class NetworksByHand:
    """Answers below /network what a person does there in the web interface."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._quotas = Quotas(cloud)

    def routes(self) -> list[Route]:
        """What this part of Neutron answers."""
        v2 = "/network/v2.0"
        return [
            Route("GET", f"{v2}/quotas/{{project}}", self.quota),
            Route("PUT", f"{v2}/quotas/{{project}}", self.change_quota),
            Route("POST", f"{v2}/networks", self.create_network),
            Route("DELETE", f"{v2}/networks/{{id}}", self.delete_network),
            Route("POST", f"{v2}/subnets", self.create_subnet),
            Route("PUT", f"{v2}/routers/{{id}}/add_router_interface", self.add_interface),
        ]

    def quota(self, _request: Request) -> Reply:
        """What holds now."""
        return Reply({"quota": self._quotas.of("network")})

    def change_quota(self, request: Request) -> Reply:
        """As an admin may."""
        return Reply({"quota": self._quotas.change("network", request.json("quota"))})

    def create_network(self, request: Request) -> Reply:
        """An internal one; nothing routes to it yet."""
        asked = request.json("network")
        made: dict[str, Any] = networks.own(self._cloud, new_id(), str(asked.get("name", "")))
        self._cloud.records.put(networks.MADE, made["id"], made)
        return Reply({"network": made}, _CREATED)

    def delete_network(self, request: Request) -> Reply:
        """With its subnets and its way to the router."""
        identifier = request.names["id"]
        if self._cloud.records.get(networks.MADE, identifier) is None:
            raise ApiError(NOT_FOUND, f"Network {identifier} could not be found.")
        self._cloud.records.remove(networks.MADE, identifier)
        for kind in (networks.MADE_SUBNETS, networks.MADE_PORTS):
            for record in self._cloud.records.all(kind):
                if record["network_id"] == identifier:
                    self._cloud.records.remove(kind, record["id"])
        return Reply(None, 204)

    def create_subnet(self, request: Request) -> Reply:
        """Its range is not checked: no packet is ever sent there."""
        asked = request.json("subnet")
        made = {**networks.subnets(self._cloud)[0], **asked, "id": new_id()}
        self._cloud.records.put(networks.MADE_SUBNETS, made["id"], made)
        return Reply({"subnet": made}, _CREATED)

    def add_interface(self, request: Request) -> Reply:
        """The router serves the subnet from now on."""
        subnet = self._cloud.records.get(networks.MADE_SUBNETS, request.json("subnet_id"))
        if subnet is None:
            raise ApiError(NOT_FOUND, f"Subnet {request.json('subnet_id')} could not be found.")
        port = {
            **networks.router_port(self._cloud),
            "id": new_id(),
            "network_id": subnet["network_id"],
            "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}],
        }
        self._cloud.records.put(networks.MADE_PORTS, port["id"], port)
        return Reply({"subnet_id": subnet["id"], "port_id": port["id"]})
