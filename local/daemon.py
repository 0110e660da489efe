"""The API server of the local cloud: `python -m local.daemon FOLDER`.

It can be killed at any moment: what it knows is in the folder, and what it started goes on.
"""

import signal
import sys
from pathlib import Path

from local import files, object_store
from local.api import identity
from local.api.cloud import Cloud
from local.api.glance import Glance
from local.api.http import HOST, Router, Server
from local.api.keystone import Keystone
from local.api.neutron import Neutron
from local.api.nova import Nova
from local.api.plugin_path import PluginPath
from local.api.records import Records
from local.api.trove import Trove
from local.layout import STORE
from local.resources.instance import Instance


def main(folder: Path) -> None:
    """Serve until a signal ends it."""
    port_file = folder / "daemon.port"
    former = folder / "daemon.last-port"
    server = Server(int(former.read_text("utf-8")) if former.exists() else 0)
    store = object_store.start(folder / STORE)
    me = identity.load(folder)
    cloud = Cloud(
        folder=folder,
        records=Records(folder / "records"),
        identity=me,
        url=f"http://{HOST}:{server.server_port}",
        store=store.endpoint,
        store_key=(store.access_key, store.secret_key),
    )
    trove, instances = Trove(cloud), Instance(cloud)
    keystone = Keystone(cloud)
    services = (keystone, Nova(cloud), Neutron(cloud), Glance(cloud), trove)
    routes = [route for service in services for route in service.routes()]
    server.router = Router([*routes, *PluginPath(cloud).routes()], keystone.authorize)
    trove.resume()
    for record in instances.all():
        instances.boot(record)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    files.write(former, str(server.server_port))
    files.write(port_file, str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
