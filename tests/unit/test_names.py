"""Names of a stack's resources: unique on a shared store, and valid there."""

import pytest

from infra.names import BUCKET_ROLES, Names

PROJECT_ID = "0123456789abcdef0123456789abcdef"


def test_names_of_a_stack_begin_with_project_and_stack() -> None:
    names = Names.of_stack("lab")
    assert names.machine() == "image-pipeline-lab-vm"
    assert names.port() == "image-pipeline-lab-port"
    assert names.security_group("operators") == "image-pipeline-lab-operators"
    assert names.keypair == "image-pipeline-lab-operator"
    assert names.database == "image-pipeline-lab-db"
    assert names.floating_ip_description == "image-pipeline-lab"


def test_bucket_names_differ_between_cloud_projects_and_roles() -> None:
    names = Names.of_stack("lab")
    made = {names.bucket(role, project) for role in BUCKET_ROLES for project in ("a", "b")}
    assert len(made) == 6


@pytest.mark.parametrize("pipeline", ["negatives", "p", "a" * 20])
@pytest.mark.parametrize("stack", ["lab", "My_Stack.2", "x" * 60, "a" * 28 + "." * 20, "ä"])
def test_default_bucket_names_are_valid_bucket_names(stack: str, pipeline: str) -> None:
    names = Names.of_stack(stack)
    made = [names.bucket(role, PROJECT_ID) for role in (*BUCKET_ROLES, "archive")]
    for name in [
        *made,
        *(names.pipeline_bucket(pipeline, role, PROJECT_ID) for role in ("input", "output")),
    ]:
        assert 3 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[0] != "-"


def test_buckets_of_the_first_pipeline_keep_their_names() -> None:
    names = Names.of_stack("lab")
    for role in ("input", "output"):
        assert names.pipeline_bucket("negatives", role, PROJECT_ID) == names.bucket(
            role, PROJECT_ID
        )


def test_buckets_of_similar_stacks_and_pipelines_differ() -> None:
    made = {
        Names.of_stack(stack).pipeline_bucket(pipeline, "input", PROJECT_ID)
        for stack, pipeline in (
            *(("lab", "one-two"), ("lab-one", "two"), ("lab-one-two", "negatives")),
            *(("x" * 60, "one"), ("x" * 61, "one"), ("x" * 60, "two")),
        )
    }
    assert len(made) == 6
