"""The API server of the local cloud: `python -m local.daemon FOLDER`.

It can be killed at any moment: its state is in the folder, and what it started keeps running.
"""

import signal
import sys
from pathlib import Path

from local import object_store, private_file
from local.api import identity
from local.api.glance import Glance
from local.api.http import HOST, Router, Server
from local.api.keystone import Keystone
from local.api.neutron import Neutron
from local.api.nova import Nova
from local.api.resource_api import ResourceApi
from local.api.state import STORE, CloudState, Records
from local.api.trove import Trove
from local.resources.instance import Instance


def main(folder: Path) -> None:
    """Serve until a signal ends the process; writes `daemon.port` once it listens."""
    former = folder / "daemon.last-port"
    server = Server(int(former.read_text("utf-8")) if former.exists() else 0)
    store = object_store.start(folder / STORE)
    state = CloudState(
        folder=folder,
        records=Records(folder / "records"),
        identity=identity.load(folder),
        url=f"http://{HOST}:{server.server_port}",
        store=store.endpoint,
        store_key=(store.access_key, store.secret_key),
    )
    keystone, trove, instances = Keystone(state), Trove(state), Instance(state)
    services = (keystone, Nova(state), Neutron(state), Glance(state), trove, ResourceApi(state))
    routes = [route for service in services for route in service.routes()]
    server.router = Router(routes, keystone.authorize)
    trove.resume()
    for record in instances.all():
        instances.boot(record)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    private_file.write(former, str(server.server_port))
    private_file.write(folder / "daemon.port", str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
