"""nova-compute with Nova's fake hypervisor, whose node keeps its id.

The driver's own is random in each process, so a restart would leave an orphan in Placement.
"""

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import sys  # noqa: E402

from nova.cmd import compute  # noqa: E402
from oslo_utils.fixture import uuidsentinel  # noqa: E402

NODE = "4f3c1d5e-6a0b-4c7d-8e9f-0a1b2c3d4e5f"

setattr(uuidsentinel, "node_fake-host", NODE)
sys.argv[0] = "nova-compute"
compute.main()
