"""Examples on a booted machine: Debian packages, jobs in units, a database on the host."""

from pathlib import Path

from tests.checkout import Checkout
from tests.examples.shown import Shown, link_cache, show
from tests.examples.test_answers import assert_answers_are_shown
from tests.examples.test_cpsign import assert_models_are_shown

BOOTED = ("--machine", "container", "--suite", "bookworm")


def show_booted(checkout: Checkout, base: Path, name: str) -> Shown:
    """Run an example's demo on a booted machine; it must succeed and leave nothing."""
    link_cache(base / "home")
    environment = {**checkout.environment, "XDG_CACHE_HOME": str(base / "home" / ".cache")}
    return show(Checkout(checkout.folder, environment), name, *BOOTED)


def test_cpsign(checkout: Checkout, base: Path) -> None:
    """Apt installs Java; the job that queries may reach one address and no other job any."""
    assert_models_are_shown(show_booted(checkout, base, "cpsign"))


def test_answers(checkout: Checkout, base: Path) -> None:
    """The transform's packages are installed into an environment of its own."""
    assert_answers_are_shown(show_booted(checkout, base, "answers"))
