"""Write docs/object-stores.md anew: `python -m tests.stores`, where Ceph can run."""

import sys

from local.errors import LocalCloudError
from tests.stores import page
from tests.stores.checked import check_all

if __name__ == "__main__":
    try:
        page.PAGE.write_text(page.render(check_all()), encoding="utf-8")
    except LocalCloudError as problem:
        sys.exit(str(problem))
