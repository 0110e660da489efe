"""Floating IPs, here nominal addresses of the loopback network, and their way to a port."""

import secrets

from local.api.http import CONFLICT, NOT_FOUND, ApiError
from local.api.quotas import Quotas
from local.api.records import Record
from local.resources import networks
from local.resources.base import Inputs, Kind
from local.resources.port import Port

IPS = "floating-ips"


class FloatingIp(Kind):
    """An address that is the project's until it is deleted."""

    records = IPS
    title = "Floating IP"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """From the pool `public`."""
        pool = inputs.get("pool") or networks.EXTERNAL
        if pool != networks.EXTERNAL:
            raise ApiError(
                NOT_FOUND, f"Network {pool} could not be found: the pool is {networks.EXTERNAL}."
            )
        taken = {record["computed"]["address"] for record in self.all()}
        if Quotas(self.cloud).over("network", {"floatingip": len(taken) + 1}):
            raise ApiError(CONFLICT, "Quota exceeded for resources: ['floatingip'].")
        while (address := _loopback_address()) in taken:
            pass
        identifier, computed = super().compute(inputs)
        return identifier, {
            **computed,
            "pool": pool,
            "address": address,
            "fixedIp": "",
            "portId": "",
            "dnsName": inputs.get("dnsName") or "",
            "dnsDomain": inputs.get("dnsDomain") or "",
            "allTags": inputs.get("tags") or [],
        }


class FloatingIpAssociate(Kind):
    """Kept in the floating IP, whose id is its own; gone when the IP leads nowhere."""

    records = IPS
    title = "Floating IP association"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Both must exist."""
        address, port_id = str(inputs["floatingIp"]), str(inputs["portId"])
        record = next((ip for ip in self.all() if ip["computed"]["address"] == address), None)
        if record is None:
            raise ApiError(NOT_FOUND, f"Floating IP {address} could not be found.")
        if record["computed"]["portId"] not in ("", port_id):
            raise ApiError(CONFLICT, f"Floating IP {address} is already in use.")
        return record["id"], self._lead(record, port_id)

    def read(self, identifier: str) -> Record | None:
        """The association, if the IP still leads somewhere."""
        ip = super().read(identifier)
        if ip is None or not ip["computed"]["portId"]:
            return None
        inputs = {key: ip["computed"][key] for key in ("portId", "fixedIp", "region")}
        inputs["floatingIp"] = ip["computed"]["address"]
        return {"id": identifier, "inputs": inputs, "computed": {}}

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Lead it to another port."""
        with self.cloud.records.lock:
            record = self.cloud.records.get(IPS, identifier) or self.find(identifier)
            return self.keep(identifier, inputs, self._lead(record, str(inputs["portId"])))

    def delete(self, identifier: str) -> None:
        """The address stays the project's, but leads nowhere."""
        with self.cloud.records.lock:
            self.find(identifier)
            record = self.cloud.records.get(IPS, identifier)
            if record is not None:
                record["computed"].update(portId="", fixedIp="")
                self.cloud.records.put(IPS, identifier, record)

    def keep(self, identifier: str, inputs: Inputs, computed: Record) -> Record:
        """There is no record of its own."""
        return {"id": identifier, "inputs": dict(inputs), "computed": computed}

    def _lead(self, record: Record, port_id: str) -> Record:
        fixed = Port(self.cloud).find(port_id)["computed"]["allFixedIps"][0]
        record["computed"].update(portId=port_id, fixedIp=fixed)
        self.cloud.records.put(IPS, record["id"], record)
        return {"fixedIp": fixed, "region": record["computed"]["region"]}


def _loopback_address() -> str:
    low, high = 1, 254
    octets = [low + secrets.randbelow(high) for _ in range(2)]
    return f"127.0.{octets[0]}.{octets[1]}"
