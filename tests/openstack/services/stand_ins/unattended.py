"""An ML2 driver for a network on which no agent works: every port is bound as soon as it is asked.

Runs in Neutron's environment (neutron-lib, `neutron_lib.plugins.ml2.api.MechanismDriver`).
"""

from typing import Any

from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class UnattendedDriver(api.MechanismDriver):  # type: ignore[misc]
    """Binds ports; a floating IP is ACTIVE at once, since no agent will ever say so."""

    resource_provider_uuid5_namespace = None

    def initialize(self) -> None:
        """Called once, before the first request."""
        plugin = l3_router_plugin.L3RouterPlugin

        def create_floatingip(self: Any, context: Any, floatingip: Any) -> Any:
            return super(plugin, self).create_floatingip(
                context, floatingip, initial_status=constants.FLOATINGIP_STATUS_ACTIVE
            )

        plugin.create_floatingip = create_floatingip

    @property
    def connectivity(self) -> Any:
        """What a port is connected to."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context: Any) -> None:
        """Bind to the first segment."""
        details = {
            portbindings.CAP_PORT_FILTER: True,
            portbindings.VIF_DETAILS_CONNECTIVITY: self.connectivity,
        }
        for segment in context.segments_to_bind[:1]:
            context.set_binding(
                segment[api.ID],
                portbindings.VIF_TYPE_OVS,
                details,
                status=constants.PORT_STATUS_ACTIVE,
            )
