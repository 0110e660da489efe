"""The software bills of materials describe what the lock files install."""

import json
from typing import Any

import pytest

from tests.checkout import PROJECT
from tests.lint.test_lock import requirements
from tools import sbom

#: Bill -> what wheels bring that vulnerability scanners must know.
BUNDLED = {
    "docs/sbom/worker.cdx.json": {"libjpeg / libjpeg-turbo", "libwebp", "libpq", "isa-l"},
    "docs/sbom/cli.cdx.json": {"postgresql", "rclone", "openssl"},
    "docs/sbom/faces.cdx.json": {"libjpeg / libjpeg-turbo", "libssl", "libavcodec"},
    "docs/sbom/edge.cdx.json": {"libjpeg / libjpeg-turbo", "libssl", "libavcodec"},
    "docs/sbom/answers.cdx.json": {"onig_sys"},
    "docs/sbom/faces-heic.cdx.json": {"libheif", "libavcodec"},
    "docs/sbom/heic.cdx.json": {"libheif", "libde265", "libx265"},
}


@pytest.fixture(params=sbom.BILLS)
def name(request: pytest.FixtureRequest) -> str:
    """Return the file of a bill."""
    return str(request.param)


@pytest.fixture
def bill(name: str) -> dict[str, Any]:
    """Return a bill."""
    return dict(json.loads((PROJECT / name).read_text()))


def test_it_is_valid(name: str) -> None:
    # Compiles grammars, two seconds of CPU: not in each process that collects this file.
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str((PROJECT / name).read_text())
    assert error is None


def test_it_has_the_packages_and_hashes_of_the_lock(name: str, bill: dict[str, Any]) -> None:
    """Run `python -m tools.sbom` after `python -m tools.lock`."""
    locked = {}
    for line in requirements(sbom.BILLS[name]):
        package, *rest = line.split()
        locked[package] = {word.removeprefix("--hash=sha256:") for word in rest if "sha256" in word}
    described = {}
    for component in bill["components"]:
        (origin,) = component["externalReferences"]
        hashes = {each["content"] for each in origin["hashes"]}
        described[f"{component['name']}=={component['version']}"] = hashes
    assert described == locked


def test_each_package_has_a_licence_and_a_parent(bill: dict[str, Any]) -> None:
    assert [each["name"] for each in bill["components"] if not each.get("licenses")] == []
    needed = {name for each in bill["dependencies"] for name in each.get("dependsOn", ())}
    assert needed == {each["bom-ref"] for each in bill["components"]}


def test_it_names_what_wheels_bundle(name: str, bill: dict[str, Any]) -> None:
    inside = {one["name"] for each in bill["components"] for one in each.get("components", ())}
    assert inside >= BUNDLED[name]
