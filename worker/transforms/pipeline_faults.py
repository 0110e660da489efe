"""Faults of a pipeline's keys, checked against its transform and its folder."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from worker.errors import InvalidSettings
from worker.transforms import COMMAND, PICTURE, Definition, find, policy
from worker.transforms.shipped_folder import shipped_files

#: Keys that need a transform which may use files, programs or the network.
_FOLDER, _PROGRAMS = ("folder",), ("apt", "network", "allow", "secrets")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOCATION = re.compile(r"s3://[^/]+/.+|hub://[^/@]+/[^/@]+@[^/@]+/.+")
#: A line of requirements.txt that pip takes with --require-hashes (pip, "Secure installs").
_LOCKED = re.compile(r"[A-Za-z0-9][^\s;=]*==[^*\s;]+\s.*--hash=sha256:[0-9a-f]{64}")


def faults(
    keys: Mapping[str, Any],
    folder: Path | None,
    unknown: Collection[str] = (),
    shown: Callable[[object], str] = repr,
) -> Iterator[str]:
    """Yield a sentence for each fault.

    Args:
        keys: transform, parameters, output_key, gather, sources, folder, apt, network, allow and
            secrets of the pipeline.
        folder: Where its folder is, None for none.
        unknown: The parameters whose values are not known here.
        shown: How a wrong value appears in a sentence; a secret one must not.

    Yields:
        A sentence that begins with the name of the pipeline's key.
    """
    try:
        if folder:
            shipped_files(folder)
        found = find(keys["transform"], folder)
    except InvalidSettings as error:
        yield from str(error).splitlines()
        return
    parameters = None
    try:
        parameters = found.read(keys["parameters"], shown)
    except InvalidSettings as error:
        lines = str(error).splitlines()
        yield from (f"parameters.{line}" for line in lines if line.split()[0] not in unknown)
    yield from _of_keys(found, parameters, keys)


def _of_keys(found: Definition, parameters: object, keys: Mapping[str, Any]) -> Iterator[str]:
    chosen = {key: keys[key] for key in _PROGRAMS}
    confined = policy(found.description, **chosen)
    usable = {PICTURE: (), COMMAND: _FOLDER + _PROGRAMS}.get(confined, _FOLDER)
    for key in _FOLDER + _PROGRAMS:
        if keys[key] and key not in usable:
            yield (
                f"{key} is set, but {found.name} runs confined (policy {confined}) and cannot use"
                " it: remove it."
            )
    if keys["allow"] and not keys["network"]:
        yield "allow is set, but network is not true: set network to true, or remove allow."
    yield from _results(found, keys)
    requirements = found.requirements(parameters)
    if requirements and found.folder:
        yield from _requirements(requirements)
    if parameters is not None or found.parameters_type is None:
        try:
            yield from _resources(found, parameters)
        except InvalidSettings as error:
            yield from (f"parameters.{line}" for line in str(error).splitlines())


def _results(found: Definition, keys: Mapping[str, Any]) -> Iterator[str]:
    pattern = keys["output_key"]
    if "{number}" in found.description.output_key and pattern and "{number}" not in pattern:
        yield (
            f"outputKey is {pattern!r} without {{number}}, but {found.name} makes several results,"
            " which would get one key: add {number}."
        )
    if not keys["gather"]:
        return
    if not found.description.gathers:
        takes = "annotate its first argument as list[Path]" if ":" in found.name else "remove it"
        yield f"gather is true, but {found.name} takes one file: {takes}."
    if not keys["sources"]:
        yield "gather is true, but from is missing: name the pipelines whose results it gathers."
    if pattern and "{run}" not in pattern:
        yield (
            f"outputKey is {pattern!r} without {{run}}, but gather is true, so the results of two"
            " runs would get one key: add {run}."
        )


def _requirements(path: Path) -> Iterator[str]:
    """Yield a sentence for the first line that installs something unverified."""
    lines = re.sub(r"\\\r?\n", " ", path.read_text("utf-8", "replace")).splitlines()
    for line in (re.sub(r"(^|\s)#.*", "", each).strip() for each in lines):
        if line and not _LOCKED.match(line):
            yield (
                f"folder has a requirements.txt with {line.split('--hash')[0].strip()!r}, which is"
                " not locked by version and hash: write it with `uv pip compile --generate-hashes`."
            )
            return


def _resources(found: Definition, parameters: object) -> Iterator[str]:
    resources = found.resources(parameters)
    local = {each.location: each.name for each in resources if "://" not in each.location}
    if local and not found.folder:
        yield f"folder is missing: {found.name} needs one that has {' and '.join(local)}."
    shipped = shipped_files(found.folder) if local and found.folder else local
    for location, name in local.items():
        if PurePosixPath(location).as_posix() not in shipped:
            yield f"folder has no {location}, the {name}: put it there."
    for each in (one for one in resources if one.location not in local):
        if not _LOCATION.fullmatch(each.location):
            yield (
                f"parameters name {each.location} as {each.name}: write s3://BUCKET/KEY or"
                " hub://ORGANISATION/NAME@REVISION/FILE."
            )
        if not _SHA256.fullmatch(each.sha256):
            yield (
                f"parameters name {each.location} with the hash {each.sha256!r}: write its SHA-256,"
                " 64 digits of 0-9 and a-f."
            )
