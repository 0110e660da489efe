"""Tells Trove's tables which datastores there are: `trove_datastores.py CONFIG IMAGE VERSION…`."""

import sys
from pathlib import Path

import trove
from trove.common import cfg

CONFIG, IMAGE, *VERSIONS = sys.argv[1:]
NAME = "postgresql"

cfg.parse_args(["trove-datastores", "--config-file", CONFIG])

from trove.configuration import models as parameters  # noqa: E402
from trove.datastore import models  # noqa: E402

RULES = Path(trove.__file__).parent / "templates" / NAME / "validation-rules.json"
models.update_datastore(name=NAME, default_version=None)
for version in VERSIONS:
    models.update_datastore_version(NAME, version, NAME, IMAGE, None, "", 1, version=version)
    parameters.load_datastore_configuration_parameters(
        NAME, version, str(RULES), version_number=version
    )
models.update_datastore(name=NAME, default_version=VERSIONS[0])
