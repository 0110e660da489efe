"""RabbitMQ, over which Nova's and Trove's parts speak to each other."""

from local import private_file, processes
from tests.openstack.services import prerequisites
from tests.openstack.services.layout import HOST, Layout

NAME = "rabbit"


def start(layout: Layout) -> None:
    """Start the broker with an epmd of its own; `queues` waits for both."""
    home = layout.run / NAME
    home.mkdir(exist_ok=True)
    ports = layout.ports
    private_file.write(layout.etc / "rabbit.conf", "loopback_users.guest = true\n")
    processes.start(
        layout.root,
        NAME,
        [prerequisites.rabbitmq_server()],
        extra={
            "HOME": str(home),  # where Erlang keeps its cookie
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_NODENAME": "image-pipeline@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(ports.rabbit),
            "RABBITMQ_DIST_PORT": str(ports.rabbit_nodes),
            "ERL_EPMD_PORT": str(ports.epmd),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(layout.etc / NAME),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        },
    )
