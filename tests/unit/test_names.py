"""Names of a stack's resources: unique on a shared store, and valid there."""

import pytest

from infra.names import BUCKET_ROLES, Names

PROJECT_ID = "0123456789abcdef0123456789abcdef"


def test_names_of_a_stack_begin_with_project_and_stack() -> None:
    names = Names.of_stack("lab")
    assert names.machine == "image-pipeline-lab-vm"
    assert names.port == "image-pipeline-lab-port"
    assert names.security_group == "image-pipeline-lab-operators"
    assert names.keypair == "image-pipeline-lab-operator"
    assert names.database == "image-pipeline-lab-db"
    assert names.floating_ip_description == "image-pipeline-lab"


def test_bucket_names_differ_between_cloud_projects_and_roles() -> None:
    names = Names.of_stack("lab")
    made = {names.bucket(role, project) for role in BUCKET_ROLES for project in ("a", "b")}
    assert len(made) == 6


@pytest.mark.parametrize("stack", ["lab", "My_Stack.2", "x" * 60, "a" * 28 + "." * 20, "ä"])
def test_default_bucket_names_are_valid_bucket_names(stack: str) -> None:
    for name in Names.of_stack(stack).buckets(dict.fromkeys(BUCKET_ROLES, ""), PROJECT_ID).values():
        assert 3 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[0] != "-"


def test_chosen_bucket_name_is_kept() -> None:
    chosen = {"input": "mine", "output": "", "quarantine": ""}
    names = Names.of_stack("lab").buckets(chosen, PROJECT_ID)
    assert names["input"] == "mine"
    assert names["output"].startswith("image-pipeline-lab-output-")
