"""One guest for each Debian, shared by all tests: a first boot takes half a minute and more."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from cli.paths import cache_folder
from local.machine import debian_tree, kinds
from local.machine.nspawn.machine import missing
from tests.checkout import Checkout, make_checkout, open_folder
from tests.machine import stacks
from tests.machine.guest import Guest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """Return the root folder of a Pulumi CLI."""
    return pulumi_root()


@pytest.fixture(scope="session")
def able() -> None:
    """Skip the test where this host cannot boot containers."""
    if (lacking := missing()) is not None:
        pytest.skip(lacking)


# Not for the session: their passes go on, and take cores from the suites that come later.
@pytest.fixture(scope="package")
def guests(
    request: pytest.FixtureRequest, able: None, pulumi: Path
) -> Iterator[Mapping[str, "Future[Guest]"]]:
    """Boot the guests that the session's tests need, beside the first tests."""
    del able
    suites = _suites(request.session)
    for suite in suites:  # here, since a build mounts file systems, which other tests look for
        debian_tree.build(cache_folder() / "trees", suite)
    with ExitStack() as until, ThreadPoolExecutor() as pool:
        yield {
            suite: pool.submit(until.enter_context, stacks.working(kinds.NSPAWN, suite, pulumi))
            for suite in suites
        }


def _suites(session: pytest.Session) -> list[str]:
    """Return which guests the session's tests of this folder ask for."""
    here = [item for item in session.items if HERE in item.path.parents]
    calls = [call for item in here if (call := getattr(item, "callspec", None)) is not None]
    wanted = {call.params.get("guest") for call in calls}
    return [suite for suite in debian_tree.SUITES if suite in wanted]


@pytest.fixture(scope="package", autouse=True)
def begin(request: pytest.FixtureRequest) -> None:
    """Begin to boot the guests before the first test."""
    if missing() is None and _suites(request.session):
        request.getfixturevalue("guests")


@pytest.fixture(scope="package", params=debian_tree.SUITES)
def guest(request: pytest.FixtureRequest, guests: Mapping[str, "Future[Guest]"]) -> Guest:
    """Return the guest of a working stack."""
    return guests[str(request.param)].result()


@pytest.fixture
def base() -> Iterator[Path]:
    """Yield a folder that other users may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def checkout(base: Path, able: None, pulumi: Path) -> Iterator[Checkout]:
    """Yield a copy of the project with this host's cache, so that trees are built once."""
    del able
    made = make_checkout(base, pulumi)
    made = Checkout(made.folder, {**made.environment, "XDG_CACHE_HOME": str(cache_folder().parent)})
    yield made
    made.pipeline("destroy", "--data", code=None)
