"""Whether bucket names are free, before there are keys to ask with."""

import urllib.error
import urllib.request

from infra.clouds import Compute
from infra.settings import Settings

_SECONDS = 15
_NOT_FOUND = 404


def taken(settings: Settings, compute: Compute) -> list[str]:
    """A sentence for each bucket that exists already though the program is to make it.

    Asked without keys: stores answer 404 for a free name and 403 or 200 for one that is taken. The
    program's own BucketClaim has the last word; a store that cannot be asked is left to it.
    """
    store = settings.store
    endpoint = store.endpoint or compute.store_endpoint
    if store.kind == "existing":
        return []
    return [
        f"Bucket {name} exists already (yours or somebody else's, names are shared by all users of "
        f"the store): set {role}Bucket to another name, or add it to adoptBuckets if it is yours."
        for role, name in settings.names.buckets(store.chosen, compute.project_id).items()
        if name not in store.adopted and _exists(f"{endpoint}/{name}")
    ]


def _exists(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http(s), see settings.py
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code != _NOT_FOUND
    except OSError:
        return False
