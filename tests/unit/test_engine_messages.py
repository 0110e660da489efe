"""Messages of the real provider (5.5.3, on real OpenStack), and what the user reads instead."""

import pytest

from cli.stacks.messages import simplify

QUOTA = (
    "Error creating openstack_networking_secgroup_v2: Expected HTTP response code [201 202] when "
    "accessing [POST http://127.0.0.1:9696/v2.0/security-groups], but got 409 instead: "
    '{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: '
    '[\'security_group\'].", "detail": ""}}'
)
PLAIN = (
    "Error creating openstack_networking_secgroup_v2: POST "
    "http://127.0.0.1:9696/v2.0/security-groups answered 409: Quota exceeded for resources: "
    "['security_group']."
)
IN_USE = "Error deleting openstack_networking_secgroup_v2: context deadline exceeded"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (f"sdk-v2/provider2.go:571: sdk.helper_schema: {QUOTA}: provider=openstack@5.5.3", PLAIN),
        (f"1 error occurred:\n\t* {QUOTA}\n\n", PLAIN),
        (f"deleting urn:pulumi:lab::p::x$y:z::operators: 1 error occurred:\n\t* {IN_USE}", IN_USE),
        ("an unhandled error occurred: flavor is 'x'.", "flavor is 'x'."),
        (f"{QUOTA[:-40]}", f"{PLAIN[: PLAIN.index('Quota')]}{QUOTA[QUOTA.index('{') : -40]}"),
        ("Bucket b belongs to another user.", "Bucket b belongs to another user."),
    ],
    ids=["logged", "returned", "of a resource", "of the program", "not JSON", "ours"],
)
def test_message_is_one_sentence(message: str, expected: str) -> None:
    assert simplify(message) == expected
