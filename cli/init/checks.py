"""All that can be found wrong before anything is made."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cli.init.bucket_check import taken
from cli.init.quota import shortages
from infra import clouds, settings
from infra.clouds import Compute, DatabaseCloud
from infra.errors import Refusal
from infra.names import PROJECT
from infra.reader import Reader, declared
from infra.settings import PROJECT_FILE, Settings

_CLOUDS_FILE = "OS_CLIENT_CONFIG_FILE"


def parse(stack: str, values: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Settings as the program will read them, and a sentence for each bad one."""
    names = declared(PROJECT_FILE)
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        # A secret is written encrypted: that it is set is all that can be checked here.
        if not isinstance(value, dict)
    }
    secret = {name: "secret" for name, value in values.items() if isinstance(value, dict)}
    reader = Reader({**names, **texts, **secret})
    for name in sorted(set(values) - set(names)):
        reader.refuse(f"{name} is no setting of this program: Pulumi.yaml lists them all.")
    read = settings.read(reader, f"{PROJECT}-{stack}")
    return read, reader.errors


def problems(
    stack: str, values: Mapping[str, Any], stands: Callable[[], bool] = lambda: False
) -> list[str]:
    """One sentence for each thing in the way of `up`; none where all is well.

    Of a stack that stands, quotas and bucket names are not asked: it has what it needs. Whether it
    does is asked last, since the engine is slow to tell.
    """
    wanted, errors = parse(stack, values)
    if errors:
        return errors
    with _only_clouds_yaml():
        try:
            compute, database = clouds.look_up(wanted)
            return [] if stands() else list(_for_a_new_one(wanted, compute, database))
        except Refusal as error:
            return str(error).splitlines()


def _for_a_new_one(
    wanted: Settings, compute: Compute, database: DatabaseCloud | None
) -> Iterator[str]:
    yield from shortages(wanted, compute, database)
    yield from taken(wanted, compute)


@contextlib.contextmanager
def _only_clouds_yaml() -> Iterator[None]:
    """No `OS_*` variable fills gaps of an entry, as in `cli.stack`."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("OS_")}
    for name in set(kept) - {_CLOUDS_FILE}:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)
