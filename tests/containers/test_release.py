"""What a release pushes, and what it refuses before it builds anything."""

import json
from pathlib import Path

from tests.containers.images import VERSION, Buildah, Image
from tests.containers.registry import USER, Registry


def test_it_pushes_the_version_and_latest(worker: Image, registry: Registry) -> None:
    repository = f"{USER}/image-pipeline-worker"
    assert sorted(registry.get(f"{repository}/tags/list")["tags"]) == [VERSION, "latest"]
    index = "application/vnd.oci.image.index.v1+json"
    pushed = [registry.get(f"{repository}/manifests/{tag}", index) for tag in (VERSION, "latest")]
    assert pushed[0] == pushed[1]
    assert [each["platform"]["os"] for each in pushed[0]["manifests"]] == ["linux"]


def test_another_version_is_refused(buildah: Buildah) -> None:
    refused = buildah.release("worker", tag="v99.0.0")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"The tag is v99.0.0, but pyproject.toml has version {VERSION}: "
        f"tag v{VERSION}, or change the version.\n"
    )


def test_a_missing_token_is_named(buildah: Buildah) -> None:
    refused = buildah.release("worker", token="")
    assert refused.returncode == 1
    assert refused.stderr.startswith("DOCKERHUB_TOKEN is missing: ")


def test_a_wrong_token_is_refused_and_the_right_one_is_not_kept(
    buildah: Buildah, worker: Image
) -> None:
    assert buildah.release("worker", token="wrong").returncode != 0
    accounts = Path(buildah.environment["REGISTRY_AUTH_FILE"])
    assert not json.loads(accounts.read_text())["auths"]
